require ["foreverypart", "variables"];
foreverypart { extracttext "x"; }
