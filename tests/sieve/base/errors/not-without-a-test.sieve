if not { }
