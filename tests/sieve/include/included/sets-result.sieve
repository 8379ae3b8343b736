require ["include", "variables"];
global ["result", "other"];
set "result" "set";
