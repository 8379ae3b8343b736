if anyof () { }
