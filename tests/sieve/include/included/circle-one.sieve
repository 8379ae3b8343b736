require "include";
include "circle-two";
