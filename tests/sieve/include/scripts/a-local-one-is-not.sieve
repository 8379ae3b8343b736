require ["include", "variables"];
set "way" "keep";
include "looks-at-way";
