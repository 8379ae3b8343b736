require "fileinto";
require ["copy", "envelope"];
keep;
