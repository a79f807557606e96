"""The commands of a working day on plain files, nothing started beforehand."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraudline.adapters.registry import open_registry
from tests.cli.conftest import Shop
from tests.support.command import Person, listing

WINDOW = ("--start", "2026-02-14", "--end", "2026-02-18")
DAYS = ["2026-02-14", "2026-02-15", "2026-02-16", "2026-02-17"]


def test_a_simulated_file_is_what_its_report_says(shop: Shop) -> None:
    lines = (shop.folder / "tx.csv").read_text().splitlines()
    assert len(lines) - 1 == shop.simulated["rows"]
    assert 0.02 < shop.simulated["frauds"] / shop.simulated["rows"] < 0.04
    assert shop.simulated["dirty"] > 20


def test_a_retrain_accounts_for_every_row_and_tells_its_decision(shop: Shop) -> None:
    report = shop.first
    assert report["rows"] == report["valid"] + report["quarantined"] + report["duplicates"] == shop.simulated["rows"]
    assert report["quarantined"] == sum(report["reasons"].values()) > 0
    assert {"logistic", "logistic_smote"} < set(report["metrics"])
    assert report["decision"]["action"] == "promote"
    assert (shop.folder / report["quarantine"]).is_file()


def test_a_challenger_that_does_not_win_is_no_failure(shop: Shop) -> None:
    assert shop.second["version"] != shop.first["version"]
    assert shop.second["decision"]["action"] in ("promote", "shadow", "reject")
    assert shop.second["decision"]["reason"]


def test_the_same_retrain_again_makes_the_same_version(shop: Shop, person: Person) -> None:
    again = person.runs("retrain", "-t", "tx.csv", "--as-of", "2026-02-18", "--models", "again", "--json").json
    assert again["version"] == shop.first["version"]
    folder = Path("ecommerce") / "versions" / again["version"]
    names = sorted(path.name for path in (person.folder / "again" / folder).iterdir())
    assert {"manifest.json", "scorer.json", "golden.jsonl", "evaluation.png", "model_card.md"} < set(names)
    for name in names:
        ours, theirs = person.folder / "again" / folder / name, person.folder / "models" / folder / name
        assert ours.read_bytes() == theirs.read_bytes(), name


def test_a_backfill_writes_a_file_a_day_and_its_manifest(shop: Shop, person: Person) -> None:
    report = person.runs("backfill", "--transactions", "tx.csv", *WINDOW, "--models", "models", "--out", "b", "--json")
    assert report.json["days"] == 4
    written = sorted(path.name for path in (person.folder / "b").iterdir())
    assert written == [*(f"{day}.parquet" for day in DAYS), "_manifest.json"]
    table = pa.concat_tables([pq.read_table(person.folder / "b" / f"{day}.parquet") for day in DAYS])
    assert {"transaction_id", "score", "is_fraud", "model_version"} <= set(table.column_names)
    assert table.num_rows == report.json["rows"] == len(set(table["transaction_id"].to_pylist()))
    assert set(table["model_version"].to_pylist()) == {report.json["model_version"]}


def test_a_second_backfill_of_the_same_window_writes_nothing(person: Person) -> None:
    arguments = ("backfill", "-t", "tx.csv", *WINDOW, "--models", "models", "--out", "b", "--json")
    person.runs(*arguments)
    before = listing(person.folder)
    assert person.runs(*arguments).json["days_done_before"] == 4
    assert listing(person.folder) == before


def test_one_file_holds_what_a_folder_of_days_holds(shop: Shop, person: Person) -> None:
    version = ("--model", shop.first["version"], "--models", "models")
    person.runs("backfill", "-t", "tx.csv", *WINDOW, *version, "--out", "b")
    person.runs("backfill", "-t", "tx.csv", *WINDOW, *version, "--out", "b.parquet")
    days = pa.concat_tables([pq.read_table(person.folder / "b" / f"{day}.parquet") for day in DAYS])
    assert pq.read_table(person.folder / "b.parquet").equals(days)


def test_several_paths_may_follow_one_option(person: Person) -> None:
    header, *rows = (person.folder / "tx.csv").read_text().splitlines(keepends=True)
    third = len(rows) // 3
    for name, part in (("A.csv", rows[:third]), ("B.csv", rows[third : 2 * third]), ("C.csv", rows[2 * third :])):
        (person.folder / name).write_text(header + "".join(part))
    window = (*WINDOW, "--models", "models")
    person.runs("backfill", "--transactions", "A.csv", "B.csv", "C.csv", *window, "--out", "parts.parquet")
    person.runs("backfill", "--transactions", "tx.csv", *window, "--out", "whole.parquet")
    parts, whole = (pq.read_table(person.folder / f"{name}.parquet") for name in ("parts", "whole"))
    assert parts.equals(whole)


def test_the_realtime_code_gives_the_scores_of_a_backfill(person: Person) -> None:
    person.runs("backfill", "-t", "tx.jsonl", *WINDOW, "--models", "models", "--out", "b.parquet")
    table = pq.read_table(person.folder / "b.parquet")
    scores = dict(zip(table["transaction_id"].to_pylist(), table["score"].to_pylist(), strict=True))
    lines = [json.loads(line) for line in (person.folder / "tx.jsonl").read_text().splitlines()]
    # Files count in (timestamp, id) order, lines in theirs.
    lines.sort(key=lambda row: (row["timestamp"], row["transaction_id"]))
    stdin = "\n".join(json.dumps(row) for row in lines).encode()
    answered = person.runs("score", "-", "--models", "models", stdin=stdin)
    answers = [json.loads(line) for line in answered.out.splitlines()]
    assert len(answers) == len(lines)
    realtime = {answer["transaction_id"]: answer["fraud_probability"] for answer in answers}
    assert {id_: realtime[id_] for id_ in scores} == scores


def test_a_line_that_is_no_transaction_is_answered_and_stops_nobody(person: Person) -> None:
    good = (person.folder / "tx.jsonl").read_bytes().splitlines()[0]
    done = person.runs("score", "-", "--models", "models", stdin=b"{torn\n" + good + b"\n")
    assert [json.loads(line)["status"] for line in done.out.splitlines()] == [400, 200]
    assert done.code == 0


def test_quality_counts_every_row_and_writes_a_page(shop: Shop, person: Person) -> None:
    report = person.runs("quality", "--contract", "ecommerce", "--transactions", "tx.csv", "--out", "q", "--json").json
    assert report["rows"] == report["valid"] + report["quarantined"] + report["duplicates"] == shop.simulated["rows"]
    assert (person.folder / "q" / "report.html").read_text().startswith("<!doctype html>")


def test_why_labels_were_refused_is_told_where_they_are_read(person: Person) -> None:
    """Labels of transactions that are somewhere else were all refused, and only a file in a bucket said why."""
    rows = ["transaction_id,label,known_at", "X1,1,2026-01-05T00:00:00Z", "X2,0,2026-01-05T00:00:00Z"]
    (person.folder / "labels.csv").write_text("\n".join(rows))
    asked = ("retrain", "--transactions", "tx.csv", "--as-of", "2026-01-06", "--labels", "labels.csv")
    told = " ".join(person.runs(*asked).err.split())
    assert "Read labels of 0 transactions, 2 rows refused (unknown_transaction 2)" in told


def test_versions_are_listed_shown_verified_promoted_and_rolled_back(shop: Shop, person: Person) -> None:
    first, second = shop.first["version"], shop.second["version"]
    at = ("--models", "models", "--json")
    assert [row["version"] for row in person.runs("models", "list", *at).json["versions"]] == sorted([first, second])
    assert person.runs("models", "show", first, *at).json["version"] == first
    assert "scorer.json" in person.runs("models", "verify", second, *at).json["verified"]
    champion, challenger = (second, first) if shop.second["decision"]["action"] == "promote" else (first, second)
    assert person.runs("models", "promote", challenger, "--reason", "a try", *at).json["version"] == challenger
    assert person.runs("models", "list", *at).json["champion"] == challenger
    again = person.runs("models", "promote", challenger, "--reason", "once more", *at)
    assert (again.code, again.out) == (2, "")
    assert f"{challenger!r} is already the champion" in again.sentence
    assert person.runs("models", "rollback", "--reason", "too many alerts", *at).json["version"] == champion
    listed = person.runs("models", "list", *at).json
    assert listed["champion"] == champion
    assert [entry["action"] for entry in listed["history"]][-2:] == ["promote", "rollback"]


def test_a_champion_that_is_rejected_as_its_own_challenger_is_listed_by_what_made_it_champion(person: Person) -> None:
    """The same retrain again makes the same version, and the history says that it was rejected."""
    registry = open_registry(str(person.folder / "models"), "ecommerce")
    champion = person.runs("models", "list", "--json").json["champion"]
    registry.append("reject", champion, "nothing new", {}, "somebody", datetime.now(UTC), registry.next_number())
    rows = {row["version"]: row for row in person.runs("models", "list", "--json").json["versions"]}
    assert rows[champion]["last action"] in ("promote", "rollback")


def test_versions_of_another_contract_are_not_passed_over_in_silence(person: Person) -> None:
    told = " ".join(person.runs("models", "list", "--contract", "cards").out.split())
    assert told.startswith("No versions of contract 'cards' in models yet")
    assert told.endswith("or name another contract with --contract.")


def test_a_damaged_version_does_not_hide_the_others_and_the_champion(shop: Shop, person: Person) -> None:
    first, second = shop.first["version"], shop.second["version"]
    other = ({first, second} - {person.runs("models", "list", "--json").json["champion"]}).pop()
    (person.folder / "models" / "ecommerce" / "versions" / other / "manifest.json").write_text("{")
    listed = person.runs("models", "list", "--json")
    assert listed.code == 0
    assert {row["version"]: row["candidate"] == "damaged" for row in listed.json["versions"]} == {
        version: version == other for version in (first, second)
    }
    table = person.runs("models", "list")
    assert table.code == 0
    assert "damaged" in table.out
    assert f"version {other}: manifest.json is damaged" in " ".join(table.err.split())


def test_two_versions_are_told_apart_by_what_their_manifests_say(shop: Shop, person: Person) -> None:
    first, second = shop.first["version"], shop.second["version"]
    told = person.runs("models", "diff", first, second, "--models", "models", "--json").json
    assert told["versions"] == [first, second]
    differences = {row["what"]: (row[first], row[second]) for row in told["differences"]}
    assert differences["average_precision"][0] != differences["average_precision"][1]
    assert {"training begin", "training end", "training fingerprint"} <= set(differences)
    assert "feature hash" not in differences
    assert "do not differ" in person.runs("models", "diff", first, first, "--models", "models").out


def test_a_models_card_is_read_by_people(shop: Shop, person: Person) -> None:
    card = person.runs("models", "show", "--models", "models")
    assert card.code == 0
    assert "ecommerce" in card.out


def test_the_functions_package_is_the_same_twice(shop: Shop, person: Person) -> None:
    bundle = ("--bundle", f"models/ecommerce/versions/{shop.first['version']}")
    first = person.runs("package-lambda", "--out", "a.zip", *bundle, "--json")
    if "no wheels" in first.err:
        pytest.skip(f"NO PACKAGE IS MADE HERE: {first.sentence}")
    second = person.runs("package-lambda", "--out", "b.zip", *bundle, "--json")
    assert first.json["sha256"] == second.json["sha256"]
    assert first.json["model_version"] == shop.first["version"]
    assert (person.folder / "a.zip").read_bytes() == (person.folder / "b.zip").read_bytes()


def test_help_of_every_command_is_worth_reading(person: Person) -> None:
    overview = person.runs("--help")
    assert overview.code == 0
    for command in ("simulate", "retrain", "backfill", "quality", "send", "score-stream", "score", "demo", "models"):
        assert f"│ {command} " in overview.out
        page = person.runs(command, "--help")
        assert page.code == 0
        assert len(page.out) > 400
