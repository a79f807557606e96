"""Past days scored again: in memory or in parts, recorded, and held against what was decided before."""
