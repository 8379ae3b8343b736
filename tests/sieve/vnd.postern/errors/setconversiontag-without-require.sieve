setconversiontag "a";
