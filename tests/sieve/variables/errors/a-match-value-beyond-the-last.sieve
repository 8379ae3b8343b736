require "variables";
if header "a" "${33}" { }
