if address :detail "from" "a" { }
