if size :over "100" { }
