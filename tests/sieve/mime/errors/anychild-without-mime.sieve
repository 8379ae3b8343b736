require "mime";
if header :anychild "a" "b" { }
