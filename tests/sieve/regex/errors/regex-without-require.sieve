if header :regex "a" "b" { }
