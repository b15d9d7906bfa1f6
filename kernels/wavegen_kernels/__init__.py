"""Kernels of wavegen: arrays in, arrays out; they know numpy, jax and numba, and no model."""
