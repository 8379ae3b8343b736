require "environment";
if environment "name" { }
