require "enotify";
notify "mailto:1@example.org"; notify "mailto:2@example.org"; notify "mailto:3@example.org"; notify "mailto:4@example.org"; notify "mailto:5@example.org"; notify "mailto:6@example.org"; notify "mailto:7@example.org"; notify "mailto:8@example.org"; notify "mailto:9@example.org"; notify "mailto:10@example.org"; notify "mailto:11@example.org";
