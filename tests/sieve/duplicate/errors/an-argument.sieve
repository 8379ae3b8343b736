require "duplicate";
if duplicate "x" { }
