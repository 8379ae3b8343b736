redirect "carl@example.org";
keep;
