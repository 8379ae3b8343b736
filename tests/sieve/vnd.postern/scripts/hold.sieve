require "vnd.postern.hold";
hold;
