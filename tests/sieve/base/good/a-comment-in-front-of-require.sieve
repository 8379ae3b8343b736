# first
/* second */ require "fileinto";
keep;
