require "vacation";
vacation :subject "Größe zählt" "Ich bin im März zurück.";
