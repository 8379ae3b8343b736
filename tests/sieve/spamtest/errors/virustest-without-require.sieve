if virustest "5" { }
