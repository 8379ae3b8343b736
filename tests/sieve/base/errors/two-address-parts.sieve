if address :localpart :domain "from" "b" { }
