require "enotify";
notify "no uri";
