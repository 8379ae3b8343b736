require "fileinto" "copy";
