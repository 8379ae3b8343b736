require ["fcc", "fileinto"];
fileinto :fcc "Sent" "x";
