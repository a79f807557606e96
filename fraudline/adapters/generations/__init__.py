"""Generations of profiles: built beside the one in use, and moved to between two batches."""
