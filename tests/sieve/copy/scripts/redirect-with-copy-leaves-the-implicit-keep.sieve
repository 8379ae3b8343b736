require "copy";
redirect :copy "b@example.org";
