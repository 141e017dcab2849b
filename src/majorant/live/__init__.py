"""Live: a stream of samples in, time courses of regions out, with a latency that is measured."""
