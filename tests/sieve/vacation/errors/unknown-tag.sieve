require "vacation";
vacation :frob "x";
