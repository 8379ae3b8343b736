require "reject";
reject "No.";
reject "Never.";
