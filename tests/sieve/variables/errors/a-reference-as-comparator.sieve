require "variables";
if header :comparator "${x}" "a" "b" { }
