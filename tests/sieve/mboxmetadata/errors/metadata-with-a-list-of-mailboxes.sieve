require "mboxmetadata";
if metadata ["a", "b"] "/private/b" "c" { }
