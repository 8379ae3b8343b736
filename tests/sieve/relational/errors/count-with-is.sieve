require "relational";
if header :is :count "gt" "a" "1" { }
