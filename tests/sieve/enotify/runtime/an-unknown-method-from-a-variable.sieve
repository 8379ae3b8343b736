require ["enotify", "variables"];
set "x" "frob:y";
notify "${x}";
