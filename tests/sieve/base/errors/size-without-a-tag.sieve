if size 100 { }
