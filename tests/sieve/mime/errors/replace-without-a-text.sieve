require "replace";
replace;
