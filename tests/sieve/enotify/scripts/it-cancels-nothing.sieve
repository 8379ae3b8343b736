require "enotify";
notify "mailto:one@example.org";
discard;
