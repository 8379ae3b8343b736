require ["virustest", "spamtestplus"];
if virustest :percent "5" { }
