require "index";
if header :index "a" "b" { }
