require "variables";
if header "a" "${32}" { }
