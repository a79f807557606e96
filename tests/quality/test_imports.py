"""Great Expectations costs seconds and hundreds of megabytes: only who judges a window pays for it."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module",
    [
        "fraudline.realtime.handler",
        "fraudline.microbatch.batches",
        "fraudline.adapters.stream.slices",
        "flows.score_stream",
        "flows.backfill",
        "fraudline.quality.histograms",
        "fraudline.quality.check",
    ],
)
def test_importing_it_does_not_import_great_expectations(module: str) -> None:
    code = f"import sys, {module}; sys.exit('great_expectations' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
