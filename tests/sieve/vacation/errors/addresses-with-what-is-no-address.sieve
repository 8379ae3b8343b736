require "vacation";
vacation :addresses ["a@example.com", "b"] "x";
