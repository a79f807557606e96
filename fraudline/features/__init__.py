"""Features: defined once (`definition`), computed over columns (`offline`) or one by one (`online`), same bits.

What both count of an entity's past: of the partition entity in `offline_partition` and `online`, of those that lag in
`offline_lagged` (their labels in `offline_labels`) and `online_lagged`.
"""
