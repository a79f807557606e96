"""Input larger than memory: sorted runs on disk, dealt out by entity, worked by processes or a Dask cluster."""
