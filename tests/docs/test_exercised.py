"""Every command that a document shows is run by a test, or here, or there is a reason why no test can."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fraudline.adapters.objects import open_objects
from fraudline.local.emulator import Emulator
from fraudline.settings import Settings
from tests.docs.reading import ROOT, blocks, documents, text_of
from tests.docs.reading import commands as calls_of
from tests.support.command import Person

RUN = "<!-- run -->"
ACCOUNT = "needs an AWS account; tests/flows/test_runbook.py holds service, operation and options to the real model"
SERVER = "needs a running deployment; tests/flows/test_runbook.py holds command and options to the real program"
TERRAFORM = "needs an AWS account; tests/infra plans and tests the same configuration without one"

# How a command begins -> the test that runs it (a file, and words that are in it), or why none does.
EXERCISED: dict[str, tuple[str, str] | str] = {
    "make setup": (".ci/run", "make test"),  # which needs it
    "make test": (".ci/run", "make test"),
    "make lint": ("Makefile", "test: setup lint"),
    "make test-all": "CI's run and the long forms of its tests, hours of it: run before a release",
    "make lock": "resolves against the package index, another result every day; tests hold what is locked to hashes",
    "make audit": ("tests/security/test_tools.py", "pip_audit(ROOT / requirements)"),
    "make demo": ("tests/demo/test_demo.py", 'runs("demo"'),
    "fraudline simulate": ("tests/cli/conftest.py", '"simulate"'),
    "fraudline retrain": ("tests/cli/conftest.py", '"retrain"'),
    "fraudline backfill": ("tests/cli/test_journey.py", '"backfill"'),
    "fraudline quality": ("tests/cli/test_journey.py", '"quality"'),
    "fraudline quarantine": ("tests/docs/test_exercised.py", '"quarantine", "redrive"'),
    "fraudline models": ("tests/cli/test_journey.py", '"models"'),
    "fraudline models list": ("tests/cli/test_journey.py", '"models", "list"'),
    "fraudline models show": ("tests/cli/test_journey.py", '"models", "show"'),
    "fraudline models diff": ("tests/cli/test_journey.py", '"models", "diff"'),
    "fraudline models verify": ("tests/cli/test_journey.py", '"models", "verify"'),
    "fraudline models promote": ("tests/cli/test_journey.py", '"models", "promote"'),
    "fraudline models rollback": ("tests/cli/test_journey.py", '"models", "rollback"'),
    "fraudline send": ("tests/cli/test_stream.py", '"send"'),
    "fraudline score-stream": ("tests/cli/test_stream.py", '"score-stream"'),
    "fraudline warm-up": ("tests/cli/test_stream.py", '"warm-up"'),
    "fraudline score": ("tests/cli/test_journey.py", '"score", "-"'),
    "fraudline replay": ("tests/cli/test_replay.py", '"replay"'),
    "fraudline review": ("tests/flows/test_review.py", '"review"'),
    "fraudline package-lambda": ("tests/cli/test_journey.py", '"package-lambda"'),
    "fraudline up": ("tests/flows/test_up.py", '"up"'),
    "fraudline down": ("tests/flows/test_up.py", '"down"'),
    "fraudline status": ("tests/flows/test_up.py", '"status"'),
    "fraudline env": ("tests/flows/test_up.py", '"env"'),
    "fraudline cost": ("tests/docs/test_exercised.py", '"cost"'),
    "fraudline labels": ("tests/docs/test_exercised.py", '"labels", "apply"'),
    "fraudline materialize": ("tests/docs/test_exercised.py", '"materialize"'),
    "fraudline forget": ("tests/privacy/test_command.py", "forget"),
    "fraudline deploy-lambda": ("tests/realtime/test_deployed.py", '"deploy-lambda"'),
    "fraudline automations": ("tests/flows/test_automations.py", "automations"),
    "fraudline notifier": ("tests/flows/test_automations.py", "notifier"),
    "fraudline demo": ("tests/demo/test_demo.py", '"demo"'),
    "terraform": TERRAFORM,
    "aws": ACCOUNT,
    "prefect": SERVER,
    "dot": ("tests/docs/test_exercised.py", '"dot"'),
    "python benchmarks/": "prints figures of hours of one core; that of the seed is run by the notebook",
    ".venv/bin/python -m pytest": (".ci/run", "make test"),  # the same tests, some of them
}
PROGRAMS = (
    "fraudline",
    "make",
    "terraform",
    "aws",
    "prefect",
    "dot",
    "python",
    ".venv/bin/python",
    ".venv/bin/fraudline",
)


def shown() -> Iterator[tuple[str, str]]:
    """Each command in the fenced blocks, and of our own those in spans: the document, and the command as a line."""
    for document in documents():
        for block in blocks(document):
            if block.kind in ("sh", "text") and not block.is_run:
                yield from ((document, line.strip()) for line in block.lines if _is_command(line))
    for program in ("fraudline", "make", "python"):
        for document, words in calls_of(program):
            if words and not words[0].startswith("-"):
                yield document, shlex.join([program, *words])


def _is_command(line: str) -> bool:
    return line.strip().split(" ")[0] in PROGRAMS


def entry(line: str) -> str | None:
    """The longest beginning in the table."""
    bare = line.removeprefix(".venv/bin/") if line.startswith(".venv/bin/fraudline") else line
    return max((start for start in EXERCISED if bare.startswith(start)), key=len, default=None)


COMMANDS = sorted(set(shown()))


@pytest.mark.parametrize("command", [pytest.param(line, id=f"{document}: {line[:70]}") for document, line in COMMANDS])
def test_a_command_in_a_document_is_run_somewhere_or_has_a_reason(command: str) -> None:
    assert entry(command), f"nothing runs {command!r}: add a test, and an entry that names it"


def test_the_tests_named_run_what_they_are_named_for() -> None:
    for command, how in EXERCISED.items():
        if isinstance(how, tuple):
            name, words = how
            assert words in (ROOT / name).read_text(), f"{name} does not run {command!r}"


def test_no_shell_block_is_read_past() -> None:
    """A line of a shell block that begins with no program known here is part of a longer command, or a variable."""
    others = set()
    for document in documents():
        for block in blocks(document):
            if block.kind == "sh" and not block.is_run:
                others |= {line.split()[0] for line in block.lines if line.strip() and not _is_command(line)}
    known = re.compile(r"cd|for|done|do|eval|export|#|[A-Z_]+=.*")
    assert [word for word in others if not known.fullmatch(word) and not word.startswith("#")] == []


# Those of our own commands that no journey runs, for real.


@pytest.fixture
def person(tmp_path: Path) -> Person:
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    return Person(tmp_path / "home", tmp_path / "work")


def test_the_estimate_of_costs_in_the_documents_is_made(person: Person) -> None:
    (line,) = {line for document, line in COMMANDS if document == "docs/cost.md" and " --environment prod" in line}
    words = shlex.split(line)[1:]
    assert words[0] == "cost"
    assert "a month, list prices of" in person.runs(*words).out


def test_a_refused_row_is_seen_corrected_by_another_contract_and_brought_back(person: Person) -> None:
    header, *rows = (ROOT / "data" / "samples" / "ecommerce-sample.csv").read_text().splitlines()
    strange = "T-strange,U1,2026-01-10T10:00:00Z,12.50,watch,Rome,0,debit,approved,0"
    (person.folder / "t.csv").write_text("\n".join([header, *rows[:200], strange, ""]))
    person.runs("quality", "--transactions", "t.csv", "--out", "q")
    (listed,) = person.runs("quarantine", "list", "--at", "q", "--json").json["objects"]
    rows = person.runs("quarantine", "show", listed["key"], "--at", "q", "--json").json["rows"]
    assert any("watch" in row["content"] for row in rows)
    text = (ROOT / "data" / "contracts" / "ecommerce.toml").read_text()
    (person.folder / "wider.toml").write_text(text.replace('"tablet"', '"tablet", "watch"'))
    again = person.runs("quarantine", "redrive", listed["key"], "--at", "q", "--contract", "wider.toml", "--json").json
    assert again["returned"] == 1


def test_labels_are_applied_and_later_entities_built_by_hand(
    person: Person, aws: Emulator, resources: Settings
) -> None:
    variables = aws.environment | resources.to_environment()
    sample = (ROOT / "data" / "samples" / "ecommerce-sample.csv").read_bytes()
    open_objects(f"s3://{resources.landing_bucket}").put("files/sample.csv", sample)
    labels = "transaction_id,label,known_at\nT00000001,1,2026-02-10T10:00:00Z\nT00000001,perhaps,2026-02-10T10:00:00Z\n"
    (person.folder / "labels.csv").write_text(labels)
    applied = person.runs("labels", "apply", "labels.csv", "--json", **variables).json
    assert (applied["applied"], applied["refused"]) == (1, 1)
    bucket, _, key = applied["quarantine"].partition("/quarantine/")
    redriven = person.runs("quarantine", "redrive", f"quarantine/{key}", "--at", bucket, **variables)
    assert redriven.code == 2
    assert "holds labels" in redriven.err
    built = person.runs("materialize", "--now", "2026-02-12T00:00:00Z", "--json", **variables)
    assert built.code == 0, built.err


@pytest.mark.skipif(shutil.which("dot") is None, reason="graphviz is not installed: its picture is not drawn anew")
def test_the_picture_of_the_pipeline_is_drawn_from_its_text(tmp_path: Path) -> None:
    command = ["dot", "-Tsvg", "docs/images/pipeline.dot", "-o", str(tmp_path / "pipeline.svg")]
    subprocess.run(command, cwd=ROOT, check=True)
    words = [
        _words(path.read_text()) for path in (tmp_path / "pipeline.svg", ROOT / "docs" / "images" / "pipeline.svg")
    ]
    assert words[0] == words[1], "docs/images/pipeline.svg is another picture than its text: draw it again"


def _words(svg: str) -> list[str]:
    return sorted(re.findall(r"<text[^>]*>([^<]+)</text>", svg))


def test_blocks_that_say_they_are_run_are_marked_so_that_they_are() -> None:
    assert text_of("README.md").count(RUN) == sum(block.is_run for block in blocks("README.md")) > 0
