exists "from";
