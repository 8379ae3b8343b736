require "ihave";
if ihave "copy" { keep; } else { error "no copy"; }
