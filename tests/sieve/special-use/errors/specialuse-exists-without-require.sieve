if specialuse_exists "\\\\Junk" { }
