require "ihave";
if ihave "frob" { frobnicate; } else { keep; }
