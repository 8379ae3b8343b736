require ["include", "variables"];
set "global.result" "x";
include "sets-result";
if string "${global.result}" "set" { keep; }
