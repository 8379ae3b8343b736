frobnicate;
fileinto "x";
if header :comparator "i;frob" "a" "b" { }
