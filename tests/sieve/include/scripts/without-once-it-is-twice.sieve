require ["include", "variables"];
global "count";
set "count" "";
include "counts";
include "counts";
if string "${count}" "xx" { keep; } else { discard; }
