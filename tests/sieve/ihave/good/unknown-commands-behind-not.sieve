require "ihave";
if not ihave "frob" { keep; } else { frobnicate; }
