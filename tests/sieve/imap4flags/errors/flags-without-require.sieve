keep :flags "a";
