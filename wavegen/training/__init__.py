"""Learning: the optimizer, the loop, and validation by whole recordings."""
