require "vnd.postern.refuse";
keep;
refuse "No.";
