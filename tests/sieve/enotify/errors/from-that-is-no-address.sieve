require "enotify";
notify :from "nobody at all" "mailto:a@example.com";
