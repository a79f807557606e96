"""What is said of labels one after the other, and what of it counts when."""

from collections.abc import Sequence

import pytest

from fraudline.contract import load_contract
from fraudline.durations import DAY, HOUR
from fraudline.features.label_events import label_events
from fraudline.labels import Verdict, with_verdicts
from fraudline.transactions.table import UNKNOWN, TransactionTable, concatenate, from_transactions
from fraudline.transactions.transaction import Transaction

CARDS = load_contract("cards")
TIME = 1_772_000_000_000_000
KNOWN = TIME + CARDS.label_delay


def table(label: int | None = None) -> TransactionTable:
    made = [Transaction(id_, TIME, 500, ("c", "T"), (), (), label) for id_ in ("t1", "t2")]
    return from_transactions(CARDS, made)


def told(verdicts: Sequence[Verdict], label: int | None = None, lag: int | None = None) -> list[tuple[int, int, int]]:
    """Of the first transaction: hours after it, fraud or not, begins or ceases."""
    events = label_events(with_verdicts(table(label), {"t1": verdicts}, as_of=2**62), lag)
    columns = zip(events.row.tolist(), events.time.tolist(), events.fraud.tolist(), events.sign.tolist(), strict=True)
    return [((time - TIME) // HOUR, fraud, sign) for row, time, fraud, sign in columns if row == 0]


def verdict(label: int, hours: int, missed_by: int = 0) -> Verdict:
    """Known so many hours after the label delay."""
    return Verdict(label, KNOWN + hours * HOUR, "ann", missed_by=missed_by)


def test_a_correction_gives_back_at_its_own_time_what_was_said_before() -> None:
    assert told([verdict(1, 2), verdict(0, 5)]) == [(2, 1, 1), (5, 1, -1), (5, 0, 1)]


def test_a_withdrawal_only_gives_back_and_a_label_may_follow_it() -> None:
    withdrawn = [verdict(1, 2), verdict(UNKNOWN, 5)]
    assert told(withdrawn) == [(2, 1, 1), (5, 1, -1)]
    assert told([*withdrawn, verdict(0, 7)]) == [(2, 1, 1), (5, 1, -1), (7, 0, 1)]
    assert told([verdict(UNKNOWN, 5)]) == []


def test_who_says_the_same_again_says_nothing_new() -> None:
    assert told([verdict(1, 2), verdict(1, 5)]) == [(2, 1, 1)]


def test_a_verdict_has_more_weight_than_the_label_of_a_file() -> None:
    assert told([verdict(0, 3)], label=1) == [(0, 1, 1), (3, 1, -1), (3, 0, 1)]
    # Found before the file's label was due.
    assert told([verdict(0, -50)], label=1) == [(0, 1, 1), (0, 1, -1), (0, 0, 1)]


def test_what_was_known_earlier_but_told_later_has_less_weight() -> None:
    built = TIME + 20 * DAY
    lag = HOUR
    late = (built + lag - CARDS.label_delay - TIME) // HOUR
    backdated = [verdict(1, 5), verdict(0, 2, missed_by=built)]
    assert told(backdated) == [(2, 0, 1), (5, 0, -1), (5, 1, 1)]
    # To decisions of builds before, it was never the label.
    assert told(backdated, lag=lag) == [(5, 1, 1)]
    assert told([verdict(1, 5), verdict(0, 7, missed_by=built)], lag=lag) == [(5, 1, 1), (late, 1, -1), (late, 0, 1)]


@pytest.mark.parametrize("order", [[0, 1], [1, 0], [1]])
def test_statements_go_with_their_rows(order: list[int]) -> None:
    said = with_verdicts(table(), {"t2": [verdict(1, 2), verdict(UNKNOWN, 5)]}, as_of=2**62)
    events = label_events(concatenate([table(0), said.take(order)]))
    assert [(row, sign) for row, sign in zip(events.row.tolist(), events.sign.tolist(), strict=True) if row > 1] == [
        (2 + order.index(1), 1),
        (2 + order.index(1), -1),
    ]
    assert label_events(said.labels_known_by(KNOWN + 3 * HOUR)).sign.tolist() == [1]
