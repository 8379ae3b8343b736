jettison;
