require ["include", "variables"];
global "way";
set "way" "keep";
include "looks-at-way";
