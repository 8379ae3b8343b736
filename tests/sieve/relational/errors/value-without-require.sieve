if header :value "gt" "a" "1" { }
