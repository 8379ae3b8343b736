require "ihave";
if allof (ihave "frob", frobnicated "x") { keep; }
