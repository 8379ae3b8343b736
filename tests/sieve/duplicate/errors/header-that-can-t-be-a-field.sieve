require "duplicate";
if duplicate :header "not a field" { }
