require "vacation";
vacation :days 999999999 "x";
