require "relational";
if header :count "frob" "a" "1" { }
