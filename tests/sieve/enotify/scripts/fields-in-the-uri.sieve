require "enotify";
notify "mailto:one@example.org?subject=Alarm&body=now";
