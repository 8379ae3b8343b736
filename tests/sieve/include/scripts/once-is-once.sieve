require ["include", "variables"];
global "count";
set "count" "";
include :once "counts";
include :once "counts";
if string "${count}" "x" { keep; } else { discard; }
