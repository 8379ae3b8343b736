deleteheader "X-A";
