redirect "carl@";
