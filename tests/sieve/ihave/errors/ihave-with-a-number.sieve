require "ihave";
if ihave 1 { }
