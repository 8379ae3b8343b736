require "vnd.postern.spamadjust";
spamadjust "much";
