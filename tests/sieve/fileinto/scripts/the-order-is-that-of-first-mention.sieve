require "fileinto";
fileinto "Lists";
keep;
fileinto "Lists";
