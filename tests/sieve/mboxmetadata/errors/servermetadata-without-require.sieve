if servermetadata "/private/b" "c" { }
