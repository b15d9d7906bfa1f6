"""How near one sound is to another, and one set of sounds to another."""
