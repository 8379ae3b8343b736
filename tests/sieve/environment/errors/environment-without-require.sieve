if environment "name" "x" { }
