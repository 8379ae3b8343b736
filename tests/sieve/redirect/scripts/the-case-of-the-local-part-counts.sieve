redirect "carl@example.org";
redirect "Carl@example.org";
