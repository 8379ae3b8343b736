if duplicate { }
