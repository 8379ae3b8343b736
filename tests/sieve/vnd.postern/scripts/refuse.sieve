require "vnd.postern.refuse";
refuse "No.";
