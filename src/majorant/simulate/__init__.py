"""Where pairs of sources and data come from."""
