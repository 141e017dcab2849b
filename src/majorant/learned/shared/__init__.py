"""MM-Net whose weights are shared over sources: any source space, any lead field."""
