require "envelope";
if envelope "from" { }
