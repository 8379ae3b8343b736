require ["vnd.postern.novacation", "vnd.postern.addconversiontag", "vnd.postern.setconversiontag", "vnd.postern.spamadjust"];
novacation; addconversiontag ["a", "b"]; setconversiontag "c"; spamadjust "-2";
