require ["fcc", "enotify"];
notify :fcc "Sent" "mailto:a@example.org";
