"""What importing a module really loads: a rule on paper leaks, and lazy imports hide from linters."""

import json
import subprocess
import sys
from collections.abc import Sequence

from tests.architecture.layout import core_modules, realtime_modules

# What a cold start cannot afford: half a second to seven seconds of imports each.
HEAVY = (
    *("prefect", "pandas", "sklearn", "imblearn", "great_expectations", "pydantic", "typer", "rich"),
    *("numpy", "pyarrow", "onnxruntime", "joblib", "matplotlib", "boto3", "botocore", "fraudline.adapters.storage.s3"),
)
# What fits, judges and draws: more to load than all the rest of a run that scores.
TRAINING = ("sklearn", "imblearn", "scipy", "pandas", "matplotlib", "great_expectations")
# The shell's business: scheduling, AWS, settings, the command line, and everything that stands outside the core.
SHELL = (
    *("prefect", "boto3", "botocore", "pydantic", "pydantic_settings", "typer", "dask", "distributed"),
    *("fraudline.adapters", "fraudline.cli", "fraudline.demo", "fraudline.local", "fraudline.realtime"),
    *("fraudline.settings", "flows", "tasks"),
)
# Scoring a transaction with a linear champion runs through these.
ONLINE = (
    *("fraudline.contract", "fraudline.transactions.validation"),
    *("fraudline.features.online", "fraudline.features.profile"),
    *("fraudline.model.bundle", "fraudline.model.golden", "fraudline.model.scoring", "fraudline.decision"),
    *("fraudline.archive", "fraudline.quarantine", "fraudline.stream", "fraudline.profiles", "fraudline.generation"),
    "fraudline.microbatch.batches",
)
LOAD = """
import importlib, json, sys
modules, forbidden = json.load(sys.stdin)
found = {}
for module in modules:
    importlib.import_module(module)
    for name in set(forbidden) & set(sys.modules) - set(found):
        found[name] = module
print("loaded " + json.dumps(found))
"""


def loaded_by(modules: Sequence[str], forbidden: Sequence[str]) -> dict[str, str]:
    """The forbidden modules that importing these loads, each with the import that loaded it first."""
    # An endpoint where nobody listens: importing the handler looks for a champion, and does without.
    environment = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", LOAD],
        input=json.dumps([list(modules), list(forbidden)]),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1].removeprefix("loaded ")))


def test_a_forbidden_import_would_be_found() -> None:
    assert loaded_by(["fraudline.settings"], ["pydantic", "prefect"]) == {"pydantic": "fraudline.settings"}


def test_no_module_of_the_function_loads_anything_heavy() -> None:
    assert loaded_by(realtime_modules(), HEAVY) == {}


def test_what_scores_one_transaction_loads_nothing_heavy() -> None:
    assert loaded_by(ONLINE, HEAVY) == {}


def test_the_core_loads_no_prefect_no_aws_and_nothing_of_the_shell() -> None:
    assert loaded_by(core_modules(), SHELL) == {}


def test_a_run_that_scores_the_stream_loads_nothing_that_trains() -> None:
    """It starts every five minutes, in a process of its own."""
    assert loaded_by(["flows.score_stream"], TRAINING) == {}
