require "vnd.postern.jettison";
keep;
jettison;
