redirect "ÿþ@example.com";
