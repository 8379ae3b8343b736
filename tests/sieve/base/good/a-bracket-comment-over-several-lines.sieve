/* one
 two */ keep;
