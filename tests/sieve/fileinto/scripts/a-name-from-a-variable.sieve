require ["fileinto", "variables"];
set "x" "Lists";
fileinto "${x}";
