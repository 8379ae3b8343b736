require "vnd.postern.addprefix";
addprefix;
