require "editheader";
addheader "" "b";
