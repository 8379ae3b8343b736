require "vnd.postern.addprefix";
addprefix "From outside.";
