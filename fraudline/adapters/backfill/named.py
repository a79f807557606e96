"""A backfill that goes by a name, or into a bucket: who works on it, when it began and which of its days are done.

Its rows lie beside the stream's leases, under a consumer that no group can be called: `backfill#<name>`, or
`backfill-output#s3://...`, which knows no days: its manifest does. One run at a time holds the head row; a thread
renews it, and whoever has lost it writes no more. All decisions under a name tell the time at which the backfill began,
so that a day done again, by whichever run, gives the same rows.
"""

import os
import socket
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import msgspec

from fraudline.adapters.aws.backoff import Deadline, within
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.backfill.partitions import Done
from fraudline.adapters.clock import now_micros
from fraudline.adapters.tables.leases import if_epoch_is, rows_of
from fraudline.backfill.decisions import origin_of
from fraudline.backfill.past import Partition
from fraudline.durations import SECOND
from fraudline.errors import BadInput, FraudlineError, LostRace, NotReady, Unavailable

TERM_SECONDS = 60.0
_ASK_SECONDS = 30.0
# Sorts before every day.
_HEAD = "#head"


class Head(msgspec.Struct, frozen=True):
    """What the backfill is of, when it began (microseconds) and who holds it until when."""

    contract: str
    model_version: str
    begun_at: int
    epoch: int = 0
    owner: str = ""
    expires_at: int = 0


class HeldRows:
    """The rows of what one run at a time writes: `what` and the `option` that names it are told in errors."""

    def __init__(self, dynamodb: DynamoDB, leases_table: str, origin: str, what: str, option: str) -> None:
        self.origin = origin
        self._what = what
        self._option = option
        self._dynamodb = dynamodb
        self._table = leases_table

    def read(self) -> tuple[Head | None, dict[str, Done]]:
        """The head, if the backfill has begun, and the days that are done."""
        items = self._dynamodb.query(self._table, rows_of(self.origin), _deadline)
        rows = {item["shard"]["S"]: item["value"]["S"] for item in items}
        head = rows.pop(_HEAD, None)
        done = {day: msgspec.json.decode(text, type=Done) for day, text in rows.items()}
        return (msgspec.json.decode(head, type=Head) if head else None), done

    def head_for(self, contract: str, version: str) -> tuple[Head, dict[str, Done]]:
        """The same for a run with this version: a new head if there is none, `BadInput` if it is of something else."""
        head, done = self.read()
        if head is None:
            return Head(contract, version, now_micros()), {}
        if (head.contract, head.model_version) != (contract, version):
            raise BadInput(
                f"{self._what} has decisions of {head.contract!r} by {head.model_version}:"
                f" give this one another {self._option}"
            )
        return head, done

    def take(self, head: Head, owner: str) -> Head:
        """The head in this owner's name; `NotReady` if somebody else works on it."""
        now = now_micros()
        if head.owner and now < head.expires_at:
            raise NotReady(
                f"another run writes {self._what} ({head.owner}; if it was killed, its hold ends within"
                f" {TERM_SECONDS:.0f} s): wait for it to end, or give this one another {self._option}"
            )
        try:
            return self._put(head, owner=owner, epoch=head.epoch + 1)
        except LostRace as error:
            raise NotReady(f"another run that writes {self._what} was faster: wait for it to end") from error

    def renew(self, head: Head) -> Head:
        """The head for another term; `LostRace` if it is somebody else's by now."""
        try:
            return self._put(head)
        except LostRace as error:
            raise LostRace(f"another run took {self._what} over from this one: wait for it to end") from error

    def release(self, head: Head) -> None:
        """Let others have it at once; fine if it has to expire by itself."""
        with suppress(LostRace, Unavailable):
            self._put(head, owner="")

    def note(self, day: str, done: Done) -> None:
        """The day is done."""
        self._single("PutItem", {"Item": self._item(day, done)})

    def _put(self, head: Head, **changes: Any) -> Head:
        """The changed head, on the condition that nobody else has taken it since it was read."""
        expires_at = now_micros() + round(TERM_SECONDS * SECOND)
        changed = msgspec.structs.replace(head, expires_at=expires_at, **changes)
        item = {**self._item(_HEAD, changed), "epoch": {"N": str(changed.epoch)}}
        self._single("PutItem", {"Item": item, **if_epoch_is(head.epoch or None)})
        return changed

    def _item(self, row: str, value: Head | Done) -> dict[str, Any]:
        return {
            "consumer": {"S": self.origin},
            "shard": {"S": row},
            "value": {"S": msgspec.json.encode(value).decode()},
        }

    def _single(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._dynamodb.single(operation, self._table, body, _deadline())


class NamedBackfills(HeldRows):
    """The rows of the backfill of a name."""

    def __init__(self, dynamodb: DynamoDB, leases_table: str, name: str) -> None:
        super().__init__(dynamodb, leases_table, origin_of(name), f"backfill {name!r}", "--name")


class BackfillOutput(HeldRows):
    """The row of who writes into a bucket."""

    def __init__(self, dynamodb: DynamoDB, leases_table: str, location: str) -> None:
        super().__init__(dynamodb, leases_table, f"backfill-output#{location}", location, "--out")


def _deadline() -> Deadline:
    return within(_ASK_SECONDS)


class Hold:
    """One run's hold on a backfill."""

    def __init__(self, rows: HeldRows, head: Head, done: dict[str, Done]) -> None:
        self._rows = rows
        self._head = head
        self._done = done
        self._ended = threading.Event()
        self._lost: FraudlineError | None = None
        self._renewing = threading.Thread(target=self._renew, name=f"renews {rows.origin}", daemon=True)

    @property
    def origin(self) -> str:
        return self._rows.origin

    @property
    def begun_at(self) -> int:
        """What its decisions tell as the time they were made."""
        return self._head.begun_at

    def missing(self, parts: Sequence[Partition]) -> list[Partition]:
        """Those not done yet, or done from other input."""
        return missing(parts, self._done)

    def check(self) -> None:
        """`LostRace` (or why it could not be renewed) once the backfill may be another run's."""
        if self._lost:
            raise self._lost
        if now_micros() >= self._head.expires_at:
            # All of this process slept, and what renews it has not found out yet.
            self._head = self._rows.renew(self._head)

    def note(self, day: str, done: Done) -> None:
        self.check()
        self._rows.note(day, done)

    def _renew(self) -> None:
        while not self._ended.wait(TERM_SECONDS / 3):
            try:
                self._head = self._rows.renew(self._head)
            except FraudlineError as error:
                self._lost = error
                return

    def __enter__(self) -> "Hold":
        self._renewing.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._ended.set()
        self._renewing.join()
        self._rows.release(self._head)


def missing(parts: Sequence[Partition], done: dict[str, Done]) -> list[Partition]:
    """Partitions that are not among those done, or were made from other input."""
    return [part for part in parts if part.day not in done or done[part.day].fingerprint != part.fingerprint]


@contextmanager
def held(rows: NamedBackfills, contract: str, version: str) -> Iterator[Hold]:
    """Within the block no other run writes under the name."""
    head, done = rows.head_for(contract, version)
    with Hold(rows, rows.take(head, _owner()), done) as hold:
        yield hold


@contextmanager
def held_output(rows: BackfillOutput, contract: str, version: str) -> Iterator[Hold]:
    """Within the block no other run writes there. Whose decisions are there is the manifest's to tell."""
    head, _ = rows.read()
    with Hold(rows, rows.take(head or Head(contract, version, now_micros()), _owner()), {}) as hold:
        yield hold


def _owner() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}, {uuid.uuid4().hex[:8]}"
