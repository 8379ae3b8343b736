require ["fileinto", "copy"];
fileinto :copy "Lists";
