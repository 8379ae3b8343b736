if header :comparator 1 "a" "b" { }
