require "duplicate";
if duplicate { discard; } else { keep; }
