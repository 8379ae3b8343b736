redirect [];
