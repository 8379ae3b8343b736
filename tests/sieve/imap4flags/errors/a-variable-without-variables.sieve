require "imap4flags";
setflag "mine" "a";
