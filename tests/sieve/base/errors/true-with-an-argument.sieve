if true "x" { }
