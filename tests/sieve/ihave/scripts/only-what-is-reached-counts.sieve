require "ihave";
if not true { error "x"; }
