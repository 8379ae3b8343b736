if address "subject" "b" { }
