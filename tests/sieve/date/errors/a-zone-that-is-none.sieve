require "date";
if date :zone "CET" "date" "year" "2025" { }
