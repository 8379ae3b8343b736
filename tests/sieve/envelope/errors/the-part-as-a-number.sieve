require "envelope";
if envelope 1 "x" { }
