"""The sample-by-sample loop: one op, several backends, one contract."""
