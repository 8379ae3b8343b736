if header [] "c" { }
