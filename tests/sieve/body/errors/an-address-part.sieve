require "body";
if body :domain "x" { }
