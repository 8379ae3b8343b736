require "fileinto";
fileinto "Lists";
discard;
