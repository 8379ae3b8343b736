if address :list "from" "tag:example.com,2026:friends" { }
