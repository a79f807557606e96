"""How good scores are on labelled transactions: the figures a fraud team steers by, thresholds, and noise."""
