require "ihave";
if not ihave "fileinto" { stop; }
fileinto "INBOX";
