redirect "carl@example.org";
