if true { discard; stop; }
keep;
