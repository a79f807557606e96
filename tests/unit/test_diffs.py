"""Two sides' decisions on the same transactions: every figure is what counting row by row gives."""

from collections.abc import Sequence
from dataclasses import astuple
from itertools import pairwise
from typing import NamedTuple

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudline.backfill.comparing import compare
from fraudline.backfill.diffs import DEAREST, SHIFTS, Diff, Flip, Tally, dearest, shift_labels
from fraudline.contract import load_contract
from fraudline.errors import BadInput
from fraudline.transactions.table import TransactionTable, from_transactions
from fraudline.transactions.transaction import Transaction

CONTRACT = load_contract("ecommerce")
SCORES = (0.0, 0.0005, 0.001, 0.01, 0.02, 0.3, 0.8, 1.0)


class Side(NamedTuple):
    """A decision of one side."""

    score: float
    is_fraud: bool


class Case(NamedTuple):
    """A transaction of the day; `before` is None where only the new side decided on it."""

    amount: int
    label: int | None
    card: str
    vpn: int
    before: Side | None
    after: Side


sides = st.builds(Side, st.sampled_from(SCORES), st.booleans())
cases = st.builds(
    Case,
    st.integers(1, 10_000),
    st.sampled_from([None, 0, 1]),
    st.sampled_from(["credit", "debit"]),
    st.integers(0, 1),
    st.none() | sides,
    sides,
)


def transactions(drawn: Sequence[Case]) -> TransactionTable:
    return from_transactions(
        CONTRACT,
        [
            Transaction(
                f"t{n:03d}", 10**15 + n, case.amount, ("U1",), ("mobile", "here", case.card), (case.vpn,), case.label
            )
            for n, case in enumerate(drawn)
        ],
    )


def decisions(ids: Sequence[str], told: Sequence[Side], version: str = "v1") -> pa.Table:
    return pa.table(
        {
            "transaction_id": pa.array(ids, pa.string()),
            "score": pa.array([side.score for side in told], pa.float64()),
            "is_fraud": pa.array([int(side.is_fraud) for side in told], pa.int8()),
            "model_version": pa.array([version] * len(ids), pa.string()),
        }
    )


def diff_of(drawn: Sequence[Case], day: str = "2026-01-12", strangers: int = 0) -> Diff:
    """The diff of a day; the earlier side comes backwards, and decided on some transactions that are not of it."""
    known = [(f"t{n:03d}", case.before) for n, case in enumerate(drawn) if case.before is not None]
    known = [*((f"s{n}", Side(0.5, True)) for n in range(strangers)), *known][::-1]
    before = decisions([id_ for id_, _ in known], [side for _, side in known])
    after = decisions([f"t{n:03d}" for n in range(len(drawn))], [case.after for case in drawn], "v2")
    return compare(day, transactions(drawn), before, after)


def counted(drawn: Sequence[Case]) -> Tally:
    """The same, one row at a time."""
    total = Tally()
    for case in drawn:
        if case.before is None:
            continue
        was, is_ = case.before.is_fraud, case.after.is_fraud
        known, fraud, raised, dropped = case.label is not None, case.label == 1, is_ and not was, was and not is_
        total += Tally(
            transactions=1,
            alerts_before=int(was),
            alerts_after=int(is_),
            raised=int(raised),
            dropped=int(dropped),
            raised_amount=case.amount if raised else 0,
            dropped_amount=case.amount if dropped else 0,
            labelled=int(known),
            frauds=int(fraud),
            labelled_alerts_before=int(was and known),
            labelled_alerts_after=int(is_ and known),
            caught_before=int(was and fraud),
            caught_after=int(is_ and fraud),
            raised_frauds=int(raised and fraud),
            dropped_frauds=int(dropped and fraud),
        )
    return total


@given(drawn=st.lists(cases, max_size=30), strangers=st.integers(0, 3))
def test_every_figure_is_what_counting_row_by_row_gives(drawn: list[Case], strangers: int) -> None:
    diff = diff_of(drawn, strangers=strangers)
    shared = [case for case in drawn if case.before is not None]
    assert diff.total == counted(drawn)
    assert (diff.only_before, diff.only_after) == (strangers, len(drawn) - len(shared))
    assert diff.equal_scores == sum(case.before is not None and case.before.score == case.after.score for case in drawn)
    assert dict(diff.versions_before) == ({"v1": len(shared)} if shared else {})
    for value in ("credit", "debit"):
        assert diff.segments.get(("card_type", value), Tally()) == counted([c for c in drawn if c.card == value])
    for code, value in enumerate(("no", "yes")):
        assert diff.segments.get(("is_vpn", value), Tally()) == counted([c for c in drawn if c.vpn == code])


@given(st.lists(cases, max_size=30), st.lists(cases, max_size=30))
def test_days_add_up_to_what_they_are_together(one: list[Case], other: list[Case]) -> None:
    added, whole = diff_of(one, "2026-01-12") + diff_of(other, "2026-01-13"), counted([*one, *other])
    assert list(added.days) == ["2026-01-12", "2026-01-13"]
    assert added.total == whole
    assert added.segments == diff_of([*one, *other]).segments
    assert sum(added.shifts) == whole.transactions


def test_the_shares_are_of_labelled_alerts_and_of_known_frauds() -> None:
    told = Tally(frauds=8, labelled_alerts_before=5, caught_before=2, labelled_alerts_after=4, caught_after=4)
    assert (told.precision_before, told.recall_before) == (0.4, 0.25)
    assert (told.precision_after, told.recall_after) == (1.0, 0.5)
    assert {Tally().precision_before, Tally().precision_after, Tally().recall_before, Tally().recall_after} == {None}


def test_a_change_of_score_counts_in_the_bin_that_names_it_and_one_of_an_edge_outwards() -> None:
    edges = [0.0, *SHIFTS]
    inside = [(low + high) / 2 for low, high in pairwise(edges)] + [0.75]
    for index, shift in enumerate([*inside, *SHIFTS]):
        outwards = index if index < len(inside) else index - len(inside) + 1
        for sign, name in ((1, "up by "), (-1, "down by ")):
            low, high = (0.0, shift) if sign > 0 else (shift, 0.0)
            diff = diff_of([Case(1, None, "credit", 0, Side(low, False), Side(high, False))])
            (label,) = [label for label, count in zip(shift_labels(), diff.shifts, strict=True) if count]
            if outwards == 0:
                assert label == "within 0.001"
            else:
                assert label.startswith(f"{name}{edges[outwards]:g} ")


@given(
    st.lists(st.tuples(st.integers(1, 5), st.booleans()), min_size=1, max_size=60),
    st.lists(st.integers(0, 60), max_size=4),
)
def test_the_dearest_flips_of_each_way_are_the_same_however_days_are_cut(
    drawn: list[tuple[int, bool]], cuts: list[int]
) -> None:
    flips = [Flip(f"t{n:03d}", n, amount, 0.1, 0.9, raised, -1) for n, (amount, raised) in enumerate(drawn)]
    added, edges = Diff(), sorted({0, len(flips), *(cut for cut in cuts if cut < len(flips))})
    for begin, end in reversed(list(pairwise(edges))):
        added += Diff(flips=dearest(tuple(flips[begin:end])))
    ways = [[flip for flip in flips if flip.raised is way] for way in (True, False)]
    ranked = [sorted(way, key=lambda flip: (-flip.amount, flip.transaction_id))[:DEAREST] for way in ways]
    assert added.flips == (*ranked[0], *ranked[1])


def test_a_flip_is_told_with_both_scores_its_amount_and_what_is_known_of_it() -> None:
    drawn = [
        Case(500, 1, "credit", 0, Side(0.2, False), Side(0.7, True)),
        Case(900, None, "debit", 1, Side(0.9, True), Side(0.1, False)),
        Case(700, 0, "debit", 1, Side(0.9, True), Side(0.8, True)),
    ]
    assert [astuple(flip) for flip in diff_of(drawn).flips] == [
        ("t000", 10**15, 500, 0.2, 0.7, True, 1),
        ("t001", 10**15 + 1, 900, 0.9, 0.1, False, -1),
    ]


def test_of_many_flips_on_one_day_the_dearest_are_kept() -> None:
    amounts = [1 + (n * 7) % 31 for n in range(31)]
    diff = diff_of([Case(amount, None, "credit", 0, Side(0.1, False), Side(0.9, True)) for amount in amounts])
    assert [flip.amount for flip in diff.flips] == sorted(amounts, reverse=True)[:DEAREST]


def test_a_side_that_decided_twice_on_one_transaction_is_refused() -> None:
    before = decisions(["t000", "t000"], [Side(0.1, False), Side(0.9, True)])
    drawn = [Case(1, None, "credit", 0, None, Side(0.1, False))]
    with pytest.raises(BadInput, match="the decisions of 2026-01-12 to compare with have a transaction twice"):
        compare("2026-01-12", transactions(drawn), before, decisions(["t000"], [Side(0.1, False)]))
