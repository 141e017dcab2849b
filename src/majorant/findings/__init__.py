"""What is true of an estimate: peaks, maps, uncertainty, and what may mislead."""
