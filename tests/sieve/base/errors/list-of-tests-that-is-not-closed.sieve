if anyof (true, false { }
