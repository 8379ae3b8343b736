if size :over 1k { } if size :over 1K { } if size :under 2m { } if size :under 1G { }
