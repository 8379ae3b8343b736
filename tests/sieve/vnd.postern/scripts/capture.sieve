require "vnd.postern.capture";
capture "watch@example.com";
