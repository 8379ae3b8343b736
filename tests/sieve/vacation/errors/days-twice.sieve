require "vacation";
vacation :days 7 :days 8 "x";
