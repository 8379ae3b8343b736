require "editheader";
addheader :index 1 "X-A" "b";
