require "vnd.postern.novacation";
novacation "x";
