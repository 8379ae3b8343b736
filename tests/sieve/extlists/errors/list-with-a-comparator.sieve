require "extlists";
if address :list :comparator "i;octet" "from" "tag:example.com,2026:friends" { }
