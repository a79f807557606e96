"""A figure for CloudWatch as one line of standard output, in its embedded metric format: the log is the transport."""

import sys
import time
from collections.abc import Mapping

import msgspec

NAMESPACE = "Fraudline"


def emit(dimensions: Mapping[str, str], metric: str, value: float) -> None:
    """Write the line; where no CloudWatch reads it, it is a line of the log."""
    about = {"Namespace": NAMESPACE, "Dimensions": [list(dimensions)], "Metrics": [{"Name": metric}]}
    meta = {"Timestamp": time.time_ns() // 1_000_000, "CloudWatchMetrics": [about]}
    line = msgspec.json.encode({"_aws": meta, **dimensions, metric: value}).decode()
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
