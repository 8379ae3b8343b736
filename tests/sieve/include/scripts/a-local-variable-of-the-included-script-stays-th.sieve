require ["include", "variables"];
include "sets-local";
if string "${local}" "" { keep; } else { discard; }
