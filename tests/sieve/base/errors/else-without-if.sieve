keep; else { keep; }
