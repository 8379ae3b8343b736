if size :over -1 { }
