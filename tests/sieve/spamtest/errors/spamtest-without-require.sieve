if spamtest "5" { }
