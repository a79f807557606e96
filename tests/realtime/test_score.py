"""`fraudline score` as a person has it who writes lines one by one."""

import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fraudline.adapters.registry import open_registry
from tests.realtime.bundles import Files, version_of
from tests.realtime.events import a_transaction
from tests.support.command import PROGRAM


@pytest.mark.timeout(60)
def test_each_line_is_answered_before_the_next_is_written(files: Files, tmp_path: Path) -> None:
    registry = open_registry(str(tmp_path), "ecommerce")
    registry.publish(version_of(files), files)
    registry.promote(version_of(files), "the first", {}, "test", datetime.now(UTC))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [PROGRAM, "score", "-", "--models", str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as scoring:
        assert scoring.stdin
        assert scoring.stdout
        for number in range(2):
            scoring.stdin.write(json.dumps(a_transaction(number)).encode() + b"\n")
            scoring.stdin.flush()
            answer = json.loads(scoring.stdout.readline())
            assert (answer["line"], answer["status"]) == (number + 1, 200)
        scoring.stdin.close()
    assert scoring.returncode == 0
