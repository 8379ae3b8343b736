require "extlists";
if address :list "from" "friends" { }
