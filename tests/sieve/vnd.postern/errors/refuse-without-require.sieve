refuse "x";
