redirect "a@example.org";
