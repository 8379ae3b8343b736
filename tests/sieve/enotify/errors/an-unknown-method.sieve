require "enotify";
notify "frob:x";
