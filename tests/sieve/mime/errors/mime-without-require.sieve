if header :mime "a" "b" { }
