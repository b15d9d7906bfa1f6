"""What the CPU backend is made of: the machine, the packed weights, vector code, the loop."""
