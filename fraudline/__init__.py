"""A fraud-detection pipeline whose score is the same on every path. The modules here are the core: no AWS, no shell."""
