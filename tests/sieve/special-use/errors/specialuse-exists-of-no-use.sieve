require "special-use";
if specialuse_exists "not a flag" { }
