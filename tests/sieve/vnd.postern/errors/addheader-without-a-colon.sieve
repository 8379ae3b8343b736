require "vnd.postern.addheader";
addheader "X-Mark";
