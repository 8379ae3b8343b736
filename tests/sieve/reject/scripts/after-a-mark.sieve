require ["reject", "imap4flags"];
setflag "\\\\Seen";
reject "No.";
