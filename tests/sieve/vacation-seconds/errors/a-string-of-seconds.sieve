require "vacation-seconds";
vacation :seconds "10" "away";
