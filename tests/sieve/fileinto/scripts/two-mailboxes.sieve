require "fileinto";
fileinto "Lists";
fileinto "Lists.Dev";
