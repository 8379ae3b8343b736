require "editheader";
addheader "X-Ä" "b";
