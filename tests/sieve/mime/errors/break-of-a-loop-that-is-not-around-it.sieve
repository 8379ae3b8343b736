require "foreverypart";
foreverypart :name "one" { break :name "other"; }
