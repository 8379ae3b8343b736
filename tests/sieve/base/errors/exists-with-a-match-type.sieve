if exists :is "a" { }
