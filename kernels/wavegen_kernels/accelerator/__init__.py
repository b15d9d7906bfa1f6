"""What the Pallas kernels compile: one sample of a tile of streams, on a GPU and on a TPU alike."""
