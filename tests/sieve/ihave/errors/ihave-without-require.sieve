if ihave "fileinto" { }
