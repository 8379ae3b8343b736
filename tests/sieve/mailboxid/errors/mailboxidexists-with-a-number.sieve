require "mailboxid"; if mailboxidexists 1 { keep; }
