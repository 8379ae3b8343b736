require "vnd.postern.addtag";
addtag;
