require "spamtest";
if spamtest { }
