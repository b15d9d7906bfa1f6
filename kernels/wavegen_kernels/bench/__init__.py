"""How fast the loop samples: what ran, whether it was right, and how fast it could have been."""
