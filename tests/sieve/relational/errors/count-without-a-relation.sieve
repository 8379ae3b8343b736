require "relational";
if header :count "a" { }
