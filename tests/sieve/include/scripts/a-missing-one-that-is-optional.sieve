require "include";
include :optional "missing";
keep;
