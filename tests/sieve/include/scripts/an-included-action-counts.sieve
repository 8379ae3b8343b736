require "include";
include "keeps";
