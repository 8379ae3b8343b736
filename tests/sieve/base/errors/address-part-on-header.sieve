if header :domain "from" "b" { }
