require ["reject", "fileinto"];
fileinto "x";
reject "No.";
