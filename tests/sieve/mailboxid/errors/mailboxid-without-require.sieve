require "fileinto"; fileinto :mailboxid "M1" "A";
