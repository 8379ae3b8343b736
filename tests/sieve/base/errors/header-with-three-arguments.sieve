if header "a" "b" "c" { }
