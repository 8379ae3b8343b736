require "date";
if date "date" "frob" "x" { }
