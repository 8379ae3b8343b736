if header :count "gt" "a" "1" { }
