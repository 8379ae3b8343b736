if header :comparator "i;ascii-numeric" "a" "1" { }
