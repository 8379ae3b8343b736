require "vacation";
vacation ["x", "y"];
