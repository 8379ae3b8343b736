require "vnd.postern.addconversiontag";
addconversiontag ["good", "not good"];
