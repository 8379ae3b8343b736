require ["fcc", "vacation"];
vacation :fcc;
