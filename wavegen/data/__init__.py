"""Recordings made ready for training: layouts, the prepared corpus, batches."""
