if size :over 10T { }
