require "extlists";
if valid_ext_list ["tag:example.com,2026:friends", "tag:example.com,2026:none"] { keep; } else { discard; }
