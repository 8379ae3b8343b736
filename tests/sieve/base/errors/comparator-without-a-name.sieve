if header :comparator "a" { }
