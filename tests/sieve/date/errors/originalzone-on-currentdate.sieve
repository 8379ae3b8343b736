require "date";
if currentdate :originalzone "year" "2025" { }
