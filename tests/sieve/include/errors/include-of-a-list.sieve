require "include";
include ["keeps", "stops"];
