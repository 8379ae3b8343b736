redirect "carl";
