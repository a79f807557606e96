"""A micro-batch: records in, decisions, refusals and profile changes out. Nothing here reads or writes.

`MicroBatches.read` says which profiles and decisions the batch needs to see, `decide` what follows from them. Both are
functions of their arguments alone, so a replay comes to the same end; docs/exactly-once.md says why that is enough.
"""
