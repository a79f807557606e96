"""Erased people: whose ids are replaced, and where they stand in files."""
