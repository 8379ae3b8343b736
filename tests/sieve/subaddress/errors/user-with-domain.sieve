require "subaddress";
if address :user :domain "from" "a" { }
