require "date";
if currentdate "date" "year" "2025" { }
