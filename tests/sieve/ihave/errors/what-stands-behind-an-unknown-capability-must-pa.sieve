require "ihave";
if ihave "frob" { frobnicate }
