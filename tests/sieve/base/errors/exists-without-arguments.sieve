if exists { }
