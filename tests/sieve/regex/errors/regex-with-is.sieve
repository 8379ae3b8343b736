require "regex";
if header :regex :is "a" "b" { }
