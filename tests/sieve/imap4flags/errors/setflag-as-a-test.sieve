require "imap4flags";
if setflag "a" { }
