if valid_ext_list "tag:x" { }
