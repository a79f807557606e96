"""The model artifact, the one scorer in its forms, and what follows from a score."""
