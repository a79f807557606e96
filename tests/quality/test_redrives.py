"""Two people redrive one run's rows at a time, or one is cut off: each row comes back once, as the history says."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fraudline.adapters.aws.clients import client
from fraudline.adapters.inputs.quarantine import BatchQuarantine
from fraudline.adapters.storage.objects import Objects, open_objects
from fraudline.contract import load_contract
from fraudline.errors import LostRace

CONTRACT = load_contract("ecommerce")
KEY, CORRECTIONS, RETURNED = (f"{folder}/run.jsonl" for folder in ("quarantine", "corrections", "redriven"))
ROWS = 3


@pytest.fixture(params=["folder", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path, unique: str) -> Objects:
    if request.param == "folder":
        return open_objects(str(tmp_path / "out"))
    request.getfixturevalue("aws")
    client("s3").create_bucket(Bucket=unique)
    return open_objects(f"s3://{unique}/out")


class Cut(Exception):
    """The process ends here."""


class Watched:
    """Objects that do something right before a call of this number."""

    def __init__(self, objects: Objects, number: int, then: Callable[[], object]) -> None:
        self._objects = objects
        self._number = number
        self._then = then
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._objects, name)

        def called(*arguments: Any) -> Any:
            self.calls += 1
            if self.calls == self._number:
                self._then()
            return method(*arguments)

        return called


def begin(objects: Objects) -> None:
    """Rows with a device that the contract does not know."""
    lines = b"".join(line(number, "watch") for number in range(ROWS))
    for key in list(objects.list()):
        objects.delete(key)
    objects.put(KEY, lines)


def line(number: int, device: str) -> bytes:
    raw = {
        "transaction_id": f"T{number}", "user_id": f"U{number}", "timestamp": "2026-01-10T10:00:00Z", "amount": 12.5,
        "device_type": device, "location": "Rome", "is_vpn": 0, "card_type": "debit",
    }  # fmt: skip
    problems = [{"field": "device_type", "code": "unknown_value", "message": "is unknown"}]
    row = {"source": "t.jsonl", "row": number, "raw": json.dumps(raw), "problems": problems, "header": ""}
    return json.dumps(row).encode() + b"\n"


def correct(objects: Objects, **devices: str) -> None:
    objects.put(CORRECTIONS, b"".join(line(int(row.strip("r")), device) for row, device in devices.items()))


def redrive(objects: Any) -> int:
    return BatchQuarantine(objects).redrive(KEY, CONTRACT).returned


def returned(objects: Objects) -> dict[str, str]:
    """What each row came back as, by its id: none twice, and as the history has it."""
    records = [json.loads(told) for told in objects.get(RETURNED).splitlines()]
    assert set(Counter(record["transaction_id"] for record in records).values()) == {1}
    done = [json.loads(a.raw) for a in BatchQuarantine(objects).history(KEY) if not a.problems]
    devices = {record["transaction_id"]: record["device_type"] for record in records}
    assert sorted(devices.items()) == sorted((row["transaction_id"], row["device_type"]) for row in done)
    return devices


def test_whoever_is_overtaken_at_any_point_by_one_with_other_corrections_loses_no_row_and_adds_none(
    objects: Objects,
) -> None:
    overtaken = number = 0
    while number == overtaken:
        number += 1
        begin(objects)
        correct(objects, r0="mobile", r1="mobile")

        def overtake() -> None:
            correct(objects, r1="tablet", r2="tablet")
            assert redrive(objects) >= 1

        watched = Watched(objects, number, overtake)
        try:
            redrive(watched)
        except LostRace:
            assert returned(objects) == {"T1": "tablet", "T2": "tablet"}
            correct(objects, r0="mobile")
            assert redrive(objects) == 1
        if watched.calls >= number:
            overtaken = number
            came = returned(objects)
            assert came.items() >= {"T2": "tablet"}.items()
            assert came["T1"] in ("mobile", "tablet")
            correct(objects, r0="mobile")
            redrive(objects)
            assert returned(objects).keys() == {"T0", "T1", "T2"}
    assert overtaken > 5


def test_one_that_was_cut_off_at_any_point_is_made_good_by_the_next(objects: Objects) -> None:
    def cut() -> None:
        raise Cut

    was_cut = number = 0
    while number == was_cut:
        number += 1
        begin(objects)
        correct(objects, r0="mobile")
        try:
            redrive(Watched(objects, number, cut))
        except Cut:
            was_cut = number
            correct(objects, r1="tablet")
            before = len({a.line for a in BatchQuarantine(objects).history(KEY) if not a.problems})
            assert redrive(objects) == 1
            assert returned(objects) == ({"T0": "mobile"} if before else {}) | {"T1": "tablet"}
    assert was_cut > 5


def test_what_an_earlier_release_brought_back_stays_as_it_is(objects: Objects) -> None:
    """Its attempts tell no record."""
    begin(objects)
    correct(objects, r0="mobile")
    redrive(objects)
    (name,) = objects.list("attempts/")
    told = [json.loads(text) for text in objects.get(name).splitlines()]
    told = [{name: value for name, value in attempt.items() if name != "record"} for attempt in told]
    objects.put(name, b"".join(json.dumps(attempt).encode() + b"\n" for attempt in told))
    correct(objects, r0="tablet", r1="tablet")
    assert redrive(objects) == 1
    assert returned(objects) == {"T0": "mobile", "T1": "tablet"}
