redirect "carl@example.org";
redirect "Carl <carl@example.org>";
