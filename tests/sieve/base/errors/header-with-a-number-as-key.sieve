if header "a" 2 { }
