require "include";
include :personal "keeps";
