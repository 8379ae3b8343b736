if header "a" { }
