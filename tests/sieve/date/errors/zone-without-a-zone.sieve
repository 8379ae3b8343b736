require "date";
if date :zone { }
