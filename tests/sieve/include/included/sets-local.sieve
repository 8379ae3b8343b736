require "variables";
set "local" "here";
