if header "a" "b" :is { }
