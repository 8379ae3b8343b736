keep :frob;
