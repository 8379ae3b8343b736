require ["fileinto", "variables"];
set "x" "a
b";
fileinto "${x}";
