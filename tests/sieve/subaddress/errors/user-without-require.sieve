if address :user "from" "a" { }
