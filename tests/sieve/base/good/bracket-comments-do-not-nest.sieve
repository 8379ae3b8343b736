/* one /* two */ keep;
