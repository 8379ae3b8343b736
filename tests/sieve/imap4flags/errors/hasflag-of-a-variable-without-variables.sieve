require "imap4flags";
if hasflag "mine" "a" { }
