keep; # end
