require "extlists";
if valid_ext_list "tag:example.com,2026:friends" { keep; } else { discard; }
