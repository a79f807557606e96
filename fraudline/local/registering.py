"""Registers all of prefect.yaml with the configured server, as `prefect --no-prompt deploy --all` does.

What flows import takes longer to load than all the rest of it. Run as a module beside a server that still starts, this
loads it meanwhile.
"""

import importlib
import os
import runpy
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from fraudline.local.orchestration import ensure_pool
from fraudline.local.processes import answers

ROOT = Path(__file__).parents[2]
_POLL_SECONDS = 0.1


def declared() -> Iterator[tuple[str, str]]:
    """What prefect.yaml says there is: the module of each flow and its deployment, named as `flow/deployment`."""
    deployments: list[dict[str, Any]] = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    for deployment in deployments:
        path, function = deployment["entrypoint"].split(":")
        # Flows are named as their functions, with dashes.
        yield path.removesuffix(".py").replace("/", "."), f"{function.replace('_', '-')}/{deployment['name']}"


def main() -> None:
    os.chdir(ROOT)
    for module, _ in declared():
        importlib.import_module(module)
    while not answers(os.environ["PREFECT_API_URL"] + "/health"):
        time.sleep(_POLL_SECONDS)
    # A deployment whose pool is not there yet is refused.
    ensure_pool()
    sys.argv = ["prefect", "--no-prompt", "deploy", "--all"]
    runpy.run_module("prefect", run_name="__main__")


if __name__ == "__main__":
    main()
