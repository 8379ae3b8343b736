if anyof true { }
