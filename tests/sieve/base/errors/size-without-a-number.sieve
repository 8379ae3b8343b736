if size :over { }
