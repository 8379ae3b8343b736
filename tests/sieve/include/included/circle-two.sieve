require "include";
include "circle-one";
