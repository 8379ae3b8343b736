require ["include"];
include "files";
