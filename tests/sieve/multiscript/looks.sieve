require "fileinto";
if header "x-mark" "yes" { fileinto "Lists"; }
