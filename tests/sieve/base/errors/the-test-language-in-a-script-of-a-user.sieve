require "vnd.frob.testsuite";
