require "vnd.postern.capture";
capture;
