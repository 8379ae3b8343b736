require "vnd.postern.jettison";
jettison;
