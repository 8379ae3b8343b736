keep; /* and so on
