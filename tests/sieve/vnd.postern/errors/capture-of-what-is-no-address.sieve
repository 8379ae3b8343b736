require "vnd.postern.capture";
capture "nobody";
