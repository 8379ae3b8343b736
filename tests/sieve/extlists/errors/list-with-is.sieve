require "extlists";
if address :list :is "from" "tag:example.com,2026:friends" { }
