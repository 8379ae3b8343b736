if header 1 "b" { }
