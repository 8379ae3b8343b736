if string "a" "b" { }
