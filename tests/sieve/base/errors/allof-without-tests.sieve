if allof { }
