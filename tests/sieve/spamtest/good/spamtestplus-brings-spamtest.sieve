require "spamtestplus";
if spamtest "5" { }
