"""Notes: what is played, and its shape per frame."""
