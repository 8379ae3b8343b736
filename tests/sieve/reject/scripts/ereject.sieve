require "ereject";
ereject "No, thank you.";
