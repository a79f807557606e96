"""Data quality: what a file or a window holds, what of it may train, how it drifts, and whether paths agree."""
