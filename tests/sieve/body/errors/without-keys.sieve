require "body";
if body { }
