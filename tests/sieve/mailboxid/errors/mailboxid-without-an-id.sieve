require ["fileinto", "mailboxid"]; fileinto :mailboxid 5 "A";
