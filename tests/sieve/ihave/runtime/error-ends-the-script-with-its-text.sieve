require "ihave";
error "the text of mine";
