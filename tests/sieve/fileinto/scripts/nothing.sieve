# the implicit keep
