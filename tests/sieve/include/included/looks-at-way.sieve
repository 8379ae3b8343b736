require ["include", "variables"];
global "way";
if string "${way}" "keep" { keep; } else { discard; }
