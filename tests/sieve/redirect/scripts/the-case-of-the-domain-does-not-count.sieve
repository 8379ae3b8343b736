redirect "carl@example.org";
redirect "carl@EXAMPLE.org";
