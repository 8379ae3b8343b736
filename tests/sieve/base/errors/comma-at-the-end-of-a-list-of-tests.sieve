if anyof (true, ) { }
