require ["fileinto", "mailboxid"]; fileinto :mailboxid "M1";
