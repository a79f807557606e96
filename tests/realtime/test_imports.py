"""What a cold start may load."""

import subprocess
import sys

import pytest

HEAVY = (
    *("numpy", "pandas", "pyarrow", "sklearn", "imblearn", "joblib", "onnxruntime", "prefect", "pydantic"),
    *("typer", "rich", "boto3", "botocore", "urllib3", "great_expectations"),
)
SHOW = "import {module}, sys; print(*sorted(m for m in {heavy} if m in sys.modules))"


@pytest.mark.parametrize(
    "module",
    [
        "fraudline.realtime.handler",
        "fraudline.realtime.packaging",
        "fraudline.realtime.openapi",
        "fraudline.realtime.lines, fraudline.realtime.profiles, fraudline.realtime.recorder, fraudline.realtime.s3",
        "fraudline.adapters.registry, fraudline.adapters.storage.objects",
    ],
)
def test_the_function_loads_nothing_heavy(module: str) -> None:
    # An endpoint where nobody listens: the start looks for a champion and does without.
    environment = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", SHOW.format(module=module, heavy=HEAVY)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ""


def test_numpy_starts_no_threads_in_the_function() -> None:
    show = "import fraudline.realtime.handler, os; before = len(os.listdir('/proc/self/task')); import numpy;"
    show += " print(len(os.listdir('/proc/self/task')) - before)"
    environment = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", show], env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout.splitlines()[-1]) <= 0
