if body :contains "x" { }
