require ["relational", "variables"];
set "r" "frob";
if header :count "${r}" "subject" "1" { keep; }
