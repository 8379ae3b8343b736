if header :comparator "i;octet" :contains "a" "b" { }
