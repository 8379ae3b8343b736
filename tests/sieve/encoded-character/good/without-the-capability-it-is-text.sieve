if header "a" "${unicode:D800}" { }
