require "vacation-seconds";
vacation "away";
