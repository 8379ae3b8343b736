require "include";
include "stops";
keep;
