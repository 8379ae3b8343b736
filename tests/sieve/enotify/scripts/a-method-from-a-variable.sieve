require ["enotify", "variables"];
set "x" "pager@example.org";
notify "mailto:${x}";
