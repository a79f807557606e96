"""Refused records of the stream in the quarantine bucket: written with the batch, listed, shown and sent again."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from fraudline.adapters.clock import now_micros
from fraudline.adapters.storage.objects import Objects
from fraudline.adapters.stream.producer import Producer
from fraudline.archive import Account, batch_name
from fraudline.erasure.people import Erased
from fraudline.errors import BadInput
from fraudline.quarantine import Reject, decode_rejects, encode_rejects, rejects_of
from fraudline.stream import Batch
from fraudline.transactions.transaction import CONFLICTING_ID, Problem, Rejected, Transaction
from fraudline.transactions.validation import Validator

PREFIX = "stream/"
SUFFIX = ".jsonl"
_MARKS = "redriven/"
_ATTEMPTS = "attempts/"
# Why a record is not sent again that the contract lets pass.
ERASED = "erased"


@dataclass(frozen=True)
class Redriven:
    """What a redrive did: `refused` counts, by reason, the records that would be refused again and were left alone."""

    sent: int = 0
    sent_before: int = 0
    refused: Counter[str] = field(default_factory=Counter)


class Quarantine:
    """The stream's refused records. An object holds those of one batch; its key is shown and can be redriven."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def write(self, batch: Batch, account: Account) -> None:
        """Keep what the account of a batch says was refused; writing it again changes nothing."""
        if rejects := rejects_of(batch, account.refused):
            self._objects.put_new(PREFIX + batch_name(batch) + SUFFIX, encode_rejects(rejects))

    def list(self, day: str = "") -> Iterator[str]:
        """The objects' keys, oldest day first; of one day of arrival only if `day` (such as 2026-01-31) is given."""
        yield from self._objects.list(PREFIX + day)

    def show(self, key: str) -> tuple[Reject, ...]:
        """The refused records of one object."""
        if not (key.startswith(PREFIX) and key.endswith(SUFFIX)):
            raise BadInput(f"{key!r} is no quarantine object: take a key from `fraudline quarantine list`")
        return tuple(decode_rejects(self._objects.get(key)))

    def redrive(self, key: str, validator: Validator, producer: Producer, erased: Erased) -> Redriven:
        """Send an object's records again, each once, if the contract lets them pass by now; else note why it does not.

        It is judged as one that arrives now: the time of a record that was ahead of its arrival may have come.

        Those of erased people are left alone: a pseudonym would hash into a shard where its profile has no order.

        The mark is made after sending: a redrive that is cut off may send twice, and then the stream sees a duplicate.
        """
        result = Redriven()
        waiting: list[tuple[str, tuple[str, bytes]]] = []
        before, now = 0, now_micros()
        for reject in self.show(key):
            place = f"{key.removeprefix(PREFIX).removesuffix(SUFFIX)}/{reject.position}"
            mark = f"{_MARKS}{place}"
            if self._objects.exists(mark):
                before += 1
                continue
            outcome = _judged(reject, validator, erased, now)
            if isinstance(outcome, Rejected):
                result.refused[outcome.reason] += 1
                self._remember(place, outcome.problems)
            elif not erased.pseudonyms.isdisjoint(outcome.entities):
                result.refused[ERASED] += 1
            else:
                # Under its own entity, whatever key it came with.
                waiting.append((mark, (outcome.entities[0], reject.raw)))
        producer.send(record for _, record in waiting)
        for mark, _ in waiting:
            self._objects.put_new(mark, b"")
        return Redriven(len(waiting), before, result.refused)

    def _remember(self, place: str, problems: Sequence[Problem]) -> None:
        """Each verdict on a record once, under a name of its own: a record's history is what lies under its place."""
        told = msgspec.json.encode(problems)
        self._objects.put_new(f"{_ATTEMPTS}{place}/{hashlib.sha256(told).hexdigest()[:12]}.json", told)


def _judged(reject: Reject, validator: Validator, erased: Erased, now: int) -> Transaction | Rejected:
    # Valid by itself, but the first copy counts, and the stream would refuse this one each time.
    if reject.reason == CONFLICTING_ID:
        return Rejected(reject.problems)
    return validator.decode(erased.raw(reject.raw), arrived_at=now)
