require "mboxmetadata";
if metadata "a" "/private/b" { }
