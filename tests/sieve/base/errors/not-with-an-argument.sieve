if not "x" true { }
