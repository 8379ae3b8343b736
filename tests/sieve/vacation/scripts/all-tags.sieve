require "vacation";
vacation :days 3 :subject "Away" :from "bo@example.net" :addresses ["bo@example.org", "robert@example.net"] :handle "h" "I am away.";
