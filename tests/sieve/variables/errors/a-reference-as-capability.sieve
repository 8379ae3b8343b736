require "variables";
require "${x}";
