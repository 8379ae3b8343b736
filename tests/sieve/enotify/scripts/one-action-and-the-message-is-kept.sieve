require "enotify";
notify "mailto:pager@example.org";
