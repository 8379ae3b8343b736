require "vnd.postern.spamadjust";
spamadjust "101";
