require "subaddress";
if header :detail "from" "a" { }
