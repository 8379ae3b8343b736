require "relational";
if header :value "XX" "a" "1" { }
