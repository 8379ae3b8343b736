require ["editheader", "variables", "encoded-character"];
set "x" "a${hex:00}b";
addheader "X-A" "${x}";
