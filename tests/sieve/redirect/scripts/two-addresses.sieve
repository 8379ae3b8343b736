redirect "carl@example.org";
redirect "dora@example.org";
