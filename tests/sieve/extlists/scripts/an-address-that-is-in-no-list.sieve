require "extlists";
if address :list "to" "tag:example.com,2026:friends" { keep; } else { discard; }
