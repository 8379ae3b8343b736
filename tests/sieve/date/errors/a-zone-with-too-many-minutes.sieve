require "date";
if date :zone "+01000" "date" "year" "2025" { }
