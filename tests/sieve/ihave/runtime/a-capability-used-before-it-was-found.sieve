require "ihave";
if false { if ihave "fileinto" { } }
if size :over 1000000 { if ihave "fileinto" { } }
fileinto "INBOX";
