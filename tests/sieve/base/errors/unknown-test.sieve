if frobnicate "x" { }
