"""Pictures: of sounds, scores, trainings, corpora, networks and evaluations."""
