require ["index", "envelope"];
if envelope :index 1 "from" "b" { }
