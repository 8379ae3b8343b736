require "variables";
set "a" "${frob.x}";
