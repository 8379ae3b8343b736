require "mime";
if header :mime :param { }
