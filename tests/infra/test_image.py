"""The image holds the locked versions and nothing that the Dockerfile does not name."""

import re
from datetime import date

from flows.backfill import BackfillRequest
from tasks.backfill_outputs import scratch_for

from .conftest import INFRA, REPO

PIN = re.compile(r"^([a-z0-9._-]+)==(\S+)", re.MULTILINE)
DOCKERFILE = (INFRA / "docker" / "Dockerfile").read_text()


def test_its_versions_are_the_ones_that_are_tested() -> None:
    tested = set(PIN.findall((REPO / "requirements" / "dev.txt").read_text()))
    shipped = set(PIN.findall((INFRA / "docker" / "requirements.txt").read_text()))
    assert shipped
    assert not shipped - tested, "lock it again: docs/deployment-guide.md, day 2"


def test_all_that_is_copied_is_let_into_the_build_and_nothing_else() -> None:
    copied = {
        source.rstrip("/")
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    }
    ignore = (INFRA / "docker" / "Dockerfile.dockerignore").read_text()
    assert copied == set(re.findall(r"^!(\S+)$", ignore, re.MULTILINE))


def test_a_backfill_may_work_where_it_does_without_being_told() -> None:
    assert "RUN install --directory --owner=fraudline /app/out\n" in DOCKERFILE
    untouched = BackfillRequest(start=date(2026, 1, 1), end=date(2026, 1, 2)).out
    assert scratch_for(untouched, None).parts[0] == scratch_for(None, "april").parts[0] == "out"


def test_it_runs_as_an_unprivileged_user() -> None:
    assert re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)[-1:] == ["fraudline"]
