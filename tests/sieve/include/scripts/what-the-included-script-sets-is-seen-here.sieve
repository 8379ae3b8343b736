require ["include", "variables"];
global "result";
include "sets-result";
if string "${result}" "set" { keep; }
