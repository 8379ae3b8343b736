require "extlists";
if address :list "from" "tag:example.com,2026:empty" { keep; } else { discard; }
