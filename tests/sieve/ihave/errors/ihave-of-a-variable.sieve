require ["ihave", "variables"];
if ihave "${x}" { }
