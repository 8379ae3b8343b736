if header :frob "a" "b" { }
