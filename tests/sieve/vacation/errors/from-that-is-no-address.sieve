require "vacation";
vacation :from "nobody at all" "x";
