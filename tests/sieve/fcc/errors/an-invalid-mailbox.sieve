require ["fcc", "vacation"];
vacation :fcc "" "away";
