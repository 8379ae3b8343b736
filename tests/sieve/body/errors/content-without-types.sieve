require "body";
if body :content { }
