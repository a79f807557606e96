"""Where a backfill leaves its decisions, who works on it, and what it is held against."""
