"""Whatever is wrong with a command's input: one sentence that names it and what to do, and nothing is changed."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.command import Person, environment_of_a_fresh_machine, listing
from tests.support.preloaded import Preloaded, preloaded

ROOT = Path(__file__).parents[2]
RETRAIN = ("retrain", "--models", "new", "--as-of", "2026-02-18", "--transactions")
BACKFILL = ("backfill", "--transactions", "tx.csv", "--models", "models", "--out", "b")
WINDOW = ("--start", "2026-02-14", "--end", "2026-02-16")
DROP_PRIVILEGES = ("setpriv", "--bounding-set=-all", "--")

# Arguments, the exit code, and words that the one sentence must have.
CASES = {
    "an unknown contract column": ((*RETRAIN, "tx.csv", "--contract", "other.toml"), 2, ("tx.csv", "'no_such'")),
    "a contract with an unknown key": ((*RETRAIN, "tx.csv", "--contract", "odd.toml"), 2, ("odd.toml", "colour")),
    "no such contract": ((*RETRAIN, "tx.csv", "--contract", "nope"), 2, ("'nope'", "cards, ecommerce")),
    "a missing file": ((*RETRAIN, "nope.csv"), 2, ("nope.csv", "check the path")),
    "a missing file among good ones": ((*RETRAIN, "tx.csv", "nope.csv"), 2, ("nope.csv",)),
    "an empty file": ((*RETRAIN, "empty.csv"), 2, ("empty.csv is empty",)),
    "a file with nothing but a header": ((*RETRAIN, "header.csv"), 2, ("header.csv", "no rows")),
    "a file of only bad rows": ((*RETRAIN, "bad.csv"), 2, ("bad.csv", "no valid transaction", "id_missing")),
    "a damaged Parquet file": ((*RETRAIN, "torn.parquet"), 2, ("torn.parquet cannot be read", "copy it again")),
    "columns between semicolons": ((*RETRAIN, "semi.csv"), 2, ("semi.csv", "separated by ';'", "commas")),
    "columns between tabs": (("quality", "-t", "tab.csv", "--out", "q"), 2, ("tab.csv", "separated by tabs", "commas")),
    "a header of another encoding": ((*RETRAIN, "utf16.csv"), 2, ("utf16.csv is not UTF-8: save it as UTF-8",)),
    "cells of another encoding": ((*RETRAIN, "latin.csv"), 2, ("latin.csv is not UTF-8: save it as UTF-8",)),
    "sending another encoding": (("send", "-t", "utf16.csv"), 2, ("utf16.csv is not UTF-8: save it as UTF-8",)),
    "a file of no known format": ((*RETRAIN, "notes.txt"), 2, ("notes.txt", ".csv")),
    "quality of a missing file": (("quality", "-t", "nope.csv", "--out", "q"), 2, ("nope.csv",)),
    "quality of an empty file": (("quality", "-t", "empty.csv", "--out", "q"), 2, ("empty.csv is empty",)),
    "quality into a file": (("quality", "-t", "small.csv", "--out", "tx.csv"), 2, ("'tx.csv' is a file",)),
    "labels of a missing file": (("labels", "apply", "nope.csv"), 2, ("nope.csv", "path of the labels")),
    "labels without their columns": (("labels", "apply", "tx.csv"), 2, ("tx.csv lacks column 'label'", "known_at")),
    "a date that is none": ((*RETRAIN, "tx.csv", "--as-of", "2026-02-30"), 2, ("--as-of '2026-02-30'", "2026-01-31")),
    "a day to come": ((*RETRAIN, "tx.csv", "--as-of", "2099-02-18"), 2, ("as of 2099-02-18", "name that or before")),
    "a seed below zero": ((*RETRAIN, "tx.csv", "--seed", "-1"), 2, ("--seed", "retrain --help")),
    "no mature labels": ((*RETRAIN, "tx.csv", "--as-of", "2026-01-06"), 3, ("no mature labels", "7d")),
    "a date before all data": ((*RETRAIN, "tx.csv", "--as-of", "2020-01-01"), 3, ("2020-01-01",)),
    "a single class": ((*RETRAIN, "honest.csv"), 3, ("are honest", "a model needs both")),
    "too short a history": ((*RETRAIN, "tx.csv", "--as-of", "2026-01-20"), 3, ("longer history",)),
    "a start that is no date": ((*BACKFILL, "--start", "soon", "--end", "2026-02-16"), 2, ("--start 'soon'",)),
    "a start after the end": ((*BACKFILL, "--start", "2026-02-16", "--end", "2026-02-14"), 2, ("--start", "--end")),
    "an empty window": ((*BACKFILL, "--start", "2026-02-14", "--end", "2026-02-14"), 2, ("exclusive",)),
    "a window without transactions": ((*BACKFILL, "--start", "2027-01-01", "--end", "2027-01-02"), 2, ("2027-01-01",)),
    "no champion yet": ((*BACKFILL, *WINDOW, "--models", "nowhere"), 3, ("no champion", "fraudline retrain")),
    "an unknown version": ((*BACKFILL, *WINDOW, "--model", "2026-01-01-none"), 2, ("'2026-01-01-none'", "nearest")),
    "models that are a file": ((*BACKFILL, *WINDOW, "--models", "tx.csv"), 2, ("'tx.csv' is a file",)),
    "an output that is a file": ((*BACKFILL, *WINDOW, "--out", "taken"), 2, ("taken is a file",)),
    "a backfill to nowhere": (("backfill", "-t", "tx.csv", *WINDOW, "--models", "models"), 2, ("--out", "--name")),
    "a folder that reads like a file": ((*BACKFILL, *WINDOW, "--out", "x.csv"), 2, ("--out x.csv", "in .parquet")),
    "a name with a slash": ((*BACKFILL, *WINDOW, "--name", "../x"), 2, ("--name '../x'", "letters")),
    "a moment without a zone": ((*BACKFILL, *WINDOW, "--stream-from", "2026-02-14"), 2, ("--stream-from", "no zone")),
    "comparing with nothing": ((*BACKFILL, *WINDOW, "--compare-to", "no/such"), 2, ("no/such", "compare with")),
    "comparing with a version that is none": ((*BACKFILL, *WINDOW, "--compare-to", "x1"), 2, ("'x1'", "nearest")),
    "comparing with another kind of file": ((*BACKFILL, *WINDOW, "--compare-to", "torn.parquet"), 2, ("torn.parquet",)),
    "an unknown option": ((*BACKFILL, *WINDOW, "--modle", "x"), 2, ("--modle", "fraudline backfill --help")),
    "a missing option": (("backfill", "-t", "tx.csv"), 2, ("Missing option", "fraudline backfill --help")),
    "an unknown command": (("explain",), 2, ("'explain'", "fraudline --help")),
    "showing an unknown version": (("models", "show", "none", "--models", "models"), 2, ("'none'",)),
    "promoting an unknown version": (("models", "promote", "x", "--reason", "y", "--models", "models"), 2, ("'x'",)),
    "rolling back to nothing": (("models", "rollback", "--reason", "y", "--models", "nowhere"), 3, ("no earlier",)),
    "scoring a missing file": (("score", "nope.jsonl", "--models", "models"), 2, ("nope.jsonl",)),
    "scoring without a champion": (("score", "tx.jsonl", "--models", "nowhere"), 3, ("no champion",)),
    "a Python that Lambda lacks": (("package-lambda", "--out", "z.zip", "--python", "2.7"), 2, ("Python 2.7",)),
    "a bundle that is none": (("package-lambda", "--out", "z.zip", "--bundle", "nope"), 2, ("'nope'", "manifest")),
    "a package below a file": (("package-lambda", "--out", "tx.csv/z.zip"), 5, ("tx.csv/z.zip cannot be written",)),
    "no users to simulate": (("simulate", "--out", "new.csv", "--users", "0"), 2, ("users", "at least 1")),
    "a file format nobody reads": (("simulate", "--out", "new.xlsx"), 2, ("new.xlsx", ".parquet")),
    "a demo on a missing file": (("demo", "--data", "nope.csv", "--out", "d"), 2, ("nope.csv",)),
    "a demo on an empty file": (("demo", "--data", "empty.csv", "--out", "d"), 2, ("empty.csv is empty",)),
    "a demo into somebody's folder": (("demo", "--out", "models"), 2, ("models holds files", "--out")),
    "a rate that is no number": (("up", "--rate", "inf"), 2, ("--rate inf", "0 for none")),
    "one port for two servers": (("up", "--port", "4999", "--aws-port", "4999"), 2, ("port 4999", "name two")),
    "sending a missing file": (("send", "-t", "tx.csv", "nope.csv"), 2, ("nope.csv",)),
    "sending without credentials": (("send", "-t", "tx.csv"), 5, ("no AWS credentials", "fraudline-transactions")),
    "scoring a stream without credentials": (("score-stream",), 5, ("no AWS credentials",)),
    "reviewing without credentials": (("review", "--json"), 5, ("no AWS credentials", "AWS_PROFILE")),
    "a quarantine without credentials": (("quarantine", "list"), 5, ("no AWS credentials", "AWS_PROFILE")),
}


@pytest.fixture
def person(person: Person) -> Person:
    """The files that are wrong, beside those that are right."""
    folder = person.folder
    header, *rows = (folder / "tx.csv").read_text().splitlines(keepends=True)
    for name in ("empty.csv", "taken"):
        (folder / name).touch()
    (folder / "header.csv").write_text(header)
    (folder / "small.csv").write_text(header + "".join(rows[:500]))
    (folder / "bad.csv").write_text(header + ",U1,never,-1,fridge,,maybe,barter,,0\n" * 3)
    (folder / "honest.csv").write_text(header + "".join(row for row in rows if row.endswith(",0\n")))
    (folder / "torn.parquet").write_bytes(b"PAR1 and no more")
    (folder / "semi.csv").write_text((header + rows[0]).replace(",", ";"))
    (folder / "tab.csv").write_text((header + rows[0]).replace(",", "\t"))
    (folder / "utf16.csv").write_text(header + rows[0], "utf-16")
    (folder / "latin.csv").write_text(header + rows[0].replace(",", ",Zürich", 1), "latin-1")
    (folder / "notes.txt").write_text("transactions\n")
    contract = (ROOT / "data" / "contracts" / "ecommerce.toml").read_text()
    (folder / "other.toml").write_text(contract.replace('column = "is_vpn"', 'column = "no_such"'))
    (folder / "odd.toml").write_text('colour = "red"\n' + contract)
    return person


@pytest.mark.parametrize("case", CASES)
def test_it_is_told_in_one_sentence_and_nothing_is_changed(case: str, person: Person) -> None:
    arguments, code, words = CASES[case]
    before = listing(person.folder)
    done = person.runs(*arguments)
    assert done.code == code, done.err
    assert all(word in done.sentence for word in words), done.sentence
    assert done.out == ""
    assert listing(person.folder) == before


@pytest.mark.parametrize("option", ["--port", "--aws-port"])
def test_a_port_in_use_is_told_in_one_sentence(option: str, person: Person) -> None:
    before = listing(person.folder)
    with socket.socket() as taken, socket.socket() as free:
        for holder in (taken, free):
            holder.bind(("127.0.0.1", 0))
        taken.listen()
        port, other = (str(holder.getsockname()[1]) for holder in (taken, free))
        free.close()
        others = {"--port": other, "--aws-port": other, option: port}
        done = person.runs("up", "--stack", "stack", *(word for pair in others.items() for word in pair))
    assert done.code == 2, done.err
    assert f"port {port} on 127.0.0.1" in done.sentence
    assert listing(person.folder) == before


def test_debug_shows_where_it_happened(person: Person) -> None:
    done = person.runs(*RETRAIN, "nope.csv", "--debug")
    assert done.code == 2
    assert "Traceback" in done.err
    assert done.err.splitlines()[-1].startswith("fraudline: there is no nope.csv")


def test_a_changed_artifact_is_refused(person: Person) -> None:
    for scorer in (person.folder / "models").rglob("scorer.json"):
        scorer.write_bytes(scorer.read_bytes().replace(b"intercept", b"Intercept", 1))
    done = person.runs(*BACKFILL, *WINDOW)
    assert done.code == 4
    assert "scorer.json is not what its manifest says" in done.sentence
    assert not (person.folder / "b").exists()


@pytest.fixture(scope="session")
def unprivileged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Preloaded]:
    """Commands for which files' modes hold, even where tests run as root."""
    probe = [*DROP_PRIVILEGES, "grep", "CapEff:\t0000000000000000", "/proc/self/status"]
    if not shutil.which("setpriv") or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("NO PERMISSION TESTS RUN HERE: setpriv is missing or may not drop root's privileges")
    environment = environment_of_a_fresh_machine(tmp_path_factory.mktemp("home"))
    with preloaded(tmp_path_factory.mktemp("streams"), environment, DROP_PRIVILEGES) as process:
        yield process


# What loses its permissions, arguments, and words that the one sentence must have.
FORBIDDEN = {
    "a file that may not be read": ("tx.csv", (*RETRAIN, "tx.csv"), "tx.csv"),
    "models that may not be read": ("models", (*BACKFILL, *WINDOW), "models"),
    "a registry inside such a folder": ("models", ("models", "list", "--models", "models/a"), "models/a"),
    "a contract that may not be read": ("other.toml", (*RETRAIN, "tx.csv", "-c", "other.toml"), "other.toml"),
    "lines that may not be read": ("tx.jsonl", ("score", "tx.jsonl", "--models", "models"), "tx.jsonl"),
    "no room for a backfill": ("shut", (*BACKFILL, *WINDOW, "--out", "shut/b"), "shut/b"),
    "no room for a file": ("shut", (*BACKFILL, *WINDOW, "--out", "shut/b.parquet"), "shut/b.parquet"),
    "no room for a report": ("shut", ("quality", "-t", "small.csv", "--out", "shut/q"), "shut/q"),
    "no room for a simulation": ("shut", ("simulate", "--out", "shut/a.csv", "--users", "9"), "shut/a.csv"),
    "no room for a demo": ("shut", ("demo", "--out", "shut/demo"), "shut/demo"),
}


@pytest.mark.parametrize("case", FORBIDDEN)
def test_a_missing_permission_is_told_in_one_sentence(case: str, person: Person, unprivileged: Preloaded) -> None:
    name, arguments, word = FORBIDDEN[case]
    (person.folder / "shut").mkdir()
    before = listing(person.folder)
    thing = person.folder / name
    mode = thing.stat().st_mode
    thing.chmod(0o500 if name == "shut" else 0o000)
    done = replace(person, forks=unprivileged).runs(*arguments)
    thing.chmod(mode)
    assert done.code in (2, 5), done.err
    assert word in done.sentence
    assert "ermission" in done.sentence
    assert listing(person.folder) == before
