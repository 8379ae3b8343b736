require "encoded-character";
if header "a" "${unicode:D800}" { }
