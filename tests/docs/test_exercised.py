"""Every command that a document shows is run: as it is written, or by a test that is read here, or it says why not."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore import xform_name
from botocore.session import Session

from fraudline.adapters.storage.objects import open_objects
from fraudline.local.emulator import Emulator
from fraudline.settings import Settings
from tests.docs.called import COMMANDS, Invoked, calls_of_tests, invoked, literals
from tests.docs.reading import ROOT, Block, blocks, documents, text_of
from tests.docs.reading import commands as spans_and_lines
from tests.docs.test_rehearsed import PROGRAMS, REHEARSED, lines
from tests.support.command import Person

RUN = "<!-- run -->"
OTHERS = ("make", "terraform", "aws", "gh", "dot", "python", ".venv/bin/python", ".venv/bin/fraudline")

# Commands that are not rehearsed: how they begin -> a file, and words that stand in one of its argument lists.
ELSEWHERE: dict[str, tuple[str, ...]] = {
    "make demo": ("tests/demo/test_demo.py", "demo", "--data"),
    "make audit": ("tests/security/test_tools.py", "pip_audit", "--disable-pip"),
    "dot": ("tests/docs/test_exercised.py", "dot", "-Tsvg", "docs/images/pipeline.dot", "-o"),
}
# Commands that no test runs, and why.
UNRUN: dict[str, str] = {
    "make setup": "has run before any test can",
    "make lint": "runs before the tests of `make test`",
    "make test": "is what runs this",
    "make test-all": "CI's run and the long forms of its tests, hours of it: run before a release",
    "make lock": "resolves against the package index, another result every day; tests hold what is locked to hashes",
    "terraform": "needs an AWS account; tests/infra plans and tests the same configuration without one",
    "gh": "needs a repository on GitHub",
    "aws": "needs an AWS account; held to AWS's own models below",
    "python -m benchmarks.": "prints figures of hours of one core; that of the seed is run by the notebook",
    ".venv/bin/python -m pytest": "some of the tests that `make test` runs",
}


def shown() -> Iterator[tuple[str, str]]:
    """The commands in fenced blocks, by document; blocks that say so are run whole by test_commands.py."""
    for document in documents():
        for block in _shells(document):
            yield from ((document, line.strip()) for line in block.lines if _program(line) in (*_OURS, *OTHERS))


def _shells(document: str) -> list[Block]:
    return [block for block in blocks(document) if block.kind in ("sh", "text") and not block.is_run]


def _program(line: str) -> str:
    return line.strip().split(" ")[0]


_OURS = tuple(program.strip() for program in PROGRAMS)
SHOWN = sorted(set(shown()))


@pytest.mark.parametrize(("document", "line"), [pytest.param(*both, id=": ".join(both)[:90]) for both in SHOWN])
def test_a_command_in_a_block_is_run_or_says_why_not(document: str, line: str) -> None:
    if document in REHEARSED and line in lines(document):
        return
    known = [start for start in (*ELSEWHERE, *UNRUN) if line.startswith(start)]
    assert known, f"nothing runs {line!r}: rehearse {document}, or name a test that does"


def test_every_benchmark_that_is_told_of_can_be_started_as_it_says() -> None:
    names = re.findall(r"^\| `python -m (benchmarks\.\w+)", text_of("docs/benchmarks.md"), re.MULTILINE)
    assert len(names) > 10
    load_all = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"
    subprocess.run([sys.executable, "-c", load_all, *names], cwd=ROOT, check=True)


@pytest.mark.parametrize("start", ELSEWHERE)
def test_the_test_that_is_named_for_a_command_runs_it(start: str) -> None:
    file, *words = ELSEWHERE[start]
    assert any([text for text in found if text in words] == words for found in literals(file))


SPANS = [
    pytest.param(words, id=f"{document}: {' '.join(words)[:60]}") for document, words in spans_and_lines("fraudline")
]


@pytest.mark.parametrize("words", SPANS)
def test_a_command_in_a_text_is_run_with_all_its_options_by_some_test(words: list[str]) -> None:
    named = invoked(words)
    if named.command not in _groups():
        assert any(call.covers(named) for call in RUN_CALLS), named


def test_every_command_there_is_is_run() -> None:
    assert _leaves() - {call.command for call in RUN_CALLS} == set()


def _rehearsed() -> Iterator[Invoked]:
    ran = [line for document in REHEARSED for line in lines(document)]
    ran += [line for document in documents() for block in blocks(document) if block.is_run for line in block.lines]
    yield from (invoked(shlex.split(line)[1:]) for line in ran if line.startswith("fraudline "))


def _groups() -> set[str]:
    """Names that are no command by themselves."""
    return {
        name
        for name, command in COMMANDS.commands.items()
        if hasattr(command, "commands") and not command.invoke_without_command
    } | {""}


def _leaves() -> set[str]:
    """Every command there is, at least one."""
    groups = {name: command.commands for name, command in COMMANDS.commands.items() if hasattr(command, "commands")}
    found = (set(COMMANDS.commands) - _groups()) | {f"{group} {name}" for group in groups for name in groups[group]}
    assert found
    return found


RUN_CALLS = {*calls_of_tests(), *_rehearsed()}


def test_no_shell_block_is_read_past() -> None:
    """A line of a shell block that begins with no program known here is part of a longer command, or a variable."""
    others = set()
    for document in documents():
        for block in _shells(document):
            if block.kind == "sh":
                others |= {_program(line) for line in block.lines if line.strip()} - {*_OURS, *OTHERS}
    known = re.compile(r"cd|for|done|do|eval|export|#|\w+=.*")
    assert [word for word in others if not known.fullmatch(word)] == []


@pytest.mark.parametrize(
    ("target", "recipe"),
    [
        ("test", ["ruff check .", "ruff format --check .", "mypy", "lint-imports", 'pytest -m "not long"']),
        ("test-all", ["ruff check .", "pytest"]),
        ("lint", ["ruff check .", "ruff format --check .", "mypy", "lint-imports"]),
        ("demo", ['fraudline demo --data "yours.csv" --debug']),
        ("audit", ["requirements/dev.txt", "pip-audit --strict --require-hashes --disable-pip"]),
        ("lock", ["--generate-hashes", "--output-file requirements/dev.txt"]),
    ],
)
def test_a_target_of_make_runs_what_it_is_there_for(target: str, recipe: list[str]) -> None:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "--dry-run", target, "DATA=yours.csv", "DEBUG=1"]
    told = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=True).stdout
    assert [words for words in recipe if words not in told] == []


def test_ci_runs_what_the_readme_says() -> None:
    assert text_of(".ci/run").splitlines()[-1] == "make test"


_AWS = re.compile(r"\baws ([a-z0-9-]+) ([a-z-]+)([^)\n]*)")
AWS = sorted(
    {match.groups() for document in documents() for block in _shells(document) for match in _AWS.finditer(block.text)}
)


@pytest.mark.parametrize(("service", "operation", "rest"), AWS)
def test_a_call_to_aws_is_one_that_aws_has(service: str, operation: str, rest: str) -> None:
    if (service, operation) == ("logs", "tail"):
        pytest.skip("the command line's own, made of several calls")
    model = Session().get_service_model(service)
    operations = {xform_name(name, "-"): name for name in model.operation_names}
    members = model.operation_model(operations[operation]).input_shape.members
    # Of the command line itself: where to look in the answer, and how to print it.
    own = {"query", "output", "region"}
    options = {option.removeprefix("no-") for option in re.findall(r"(?<= )--([a-z-]+)", rest)} - own
    assert options <= {xform_name(member, "-") for member in members}


def test_what_terraform_is_told_is_there() -> None:
    """Variables, files of variables and folders: the rest of its command line is Terraform's."""
    told = [line for _, line in SHOWN if line.startswith("terraform ")]
    for line in told:
        folder = ROOT / (_after(line, "-chdir=") or "infra/bootstrap")
        declared = re.findall(r'^variable "(\w+)"', (folder / "variables.tf").read_text(), re.MULTILINE)
        assert set(re.findall(r"-var (\w+)=", line)) <= set(declared)
        assert not (file := _after(line, "-var-file=")) or (folder / file).is_file()
    assert len(told) > 3


def _after(line: str, option: str) -> str:
    return next((word.removeprefix(option) for word in line.split() if word.startswith(option)), "")


# Those of our own commands that no journey runs, for real.


@pytest.fixture
def person(tmp_path: Path) -> Person:
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    return Person(tmp_path / "home", tmp_path / "work")


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


def test_labels_are_applied_and_lagged_entities_built_by_hand(
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
