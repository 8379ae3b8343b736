require "reject";
ereject "x";
