require "vnd.postern.addtag";
addtag "[tag]";
