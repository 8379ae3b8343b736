require "relational";
if header :value "gt" :count "gt" "a" "1" { }
