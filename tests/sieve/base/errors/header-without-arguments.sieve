if header { }
