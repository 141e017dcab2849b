"""Files of ours: one atomic write, one cache folder, one archive format."""
