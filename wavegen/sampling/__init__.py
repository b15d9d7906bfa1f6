"""Making sound: frame by frame from a trained network, and a score note by note."""
