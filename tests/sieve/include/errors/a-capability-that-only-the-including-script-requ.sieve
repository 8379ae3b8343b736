require ["include", "fileinto"];
include "uses-fileinto-without-require";
