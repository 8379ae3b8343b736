redirect "friends: a@example.com;";
