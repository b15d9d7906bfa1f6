"""The network: a dilated causal stack over codes, and the conditioner that steers it."""
