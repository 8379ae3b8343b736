if header "subject" "${33}${frob.x}${}" { }
