require "enotify";
notify "mailto:one@example.org,two@example.org";
