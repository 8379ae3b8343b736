require "FILEINTO";
