require ["fileinto", "fileinto"];
require "fileinto";
keep;
