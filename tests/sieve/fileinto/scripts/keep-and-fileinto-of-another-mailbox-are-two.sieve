require "fileinto";
keep;
fileinto "Lists";
