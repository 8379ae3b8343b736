require "fileinto";
if true {
  fileinto "INBOX";
}
