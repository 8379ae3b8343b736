require ["fcc", "vacation"];
vacation :fcc "Sent" :flags "\\\\Seen" "away";
