require "mailbox";
if mailboxexists { }
