require "variables";
set "x" "nobody";
redirect "${x}";
