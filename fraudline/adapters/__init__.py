"""All that reads and writes outside this process. boto3 lives here; what decides is the core, one ring further in."""
