redirect "carl@example.org";
redirect "\"carl\"@example.org";
