require "enotify";
notify :from "bo@example.net" :importance "1" :options ["a=b"] :message "Look at it" "mailto:pager@example.org";
