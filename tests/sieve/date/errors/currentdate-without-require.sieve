if currentdate "year" "2025" { }
