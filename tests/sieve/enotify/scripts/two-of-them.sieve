require "enotify";
notify "mailto:one@example.org";
notify "mailto:two@example.org";
