"""Two sides' decisions compared: every figure is what counting row by row gives, and days add up."""

import json
import random
import re
from collections.abc import Sequence
from functools import reduce
from operator import add

import pyarrow as pa
import pytest

from fraudline.comparing import EDGES, Diff, compare, shift_labels
from fraudline.contract import load_contract
from fraudline.durations import DAY
from fraudline.errors import BadInput
from fraudline.quality.diff_report import DiffReport, diff_figures, diff_markdown, render_diff
from fraudline.table import TransactionTable, from_transactions
from fraudline.transaction import Transaction

CONTRACT = load_contract("ecommerce")
DAYS = ("2026-01-01", "2026-01-02", "2026-01-03")
START = 1_767_225_600_000_000


def transactions(count: int, seed: int = 1) -> list[Transaction]:
    choose = random.Random(seed)
    return [
        Transaction(
            f"T0000{number:05d}",
            START + number * 3 * DAY // count,
            choose.randrange(100, 90_000),
            (f"U{choose.randrange(20):06d}",),
            (choose.choice(("mobile", "desktop", "tablet")), choose.choice(("Paris", "Lyon")), "credit"),
            (choose.randrange(2),),
            choose.choice((0, 0, 1, None)),
        )
        for number in range(count)
    ]


def decisions(rows: Sequence[Transaction], seed: int, threshold: float = 0.5) -> pa.Table:
    choose = random.Random(seed)
    scores = [choose.choice((0.1, 0.4, choose.random())) for _ in rows]
    return pa.table(
        {
            "transaction_id": pa.array([row.id for row in rows], pa.string()),
            "score": scores,
            "is_fraud": [int(score >= threshold) for score in scores],
            "model_version": [f"v{seed}"] * len(rows),
        }
    )


class Compared:
    """Three days on two sides: 40 rows only before, 30 only after, and the rest on both."""

    def __init__(self) -> None:
        self.rows = transactions(600)
        self.before = decisions(self.rows, 2).filter(pa.array([number >= 30 for number in range(600)]))
        self.after = decisions(self.rows, 3)
        self.shuffled = self.before.take(pa.array(random.Random(4).sample(range(570), 570)))
        self.strangers = decisions(transactions(700)[660:], 2)

    def of(self, day: int) -> tuple[TransactionTable, pa.Table, pa.Table]:
        at = [n for n, row in enumerate(self.rows) if (row.timestamp - START) // DAY == day]
        ids = {self.rows[n].id for n in at}
        before = self.shuffled.filter(pa.array([id_ in ids for id_ in self.shuffled["transaction_id"].to_pylist()]))
        if day == 2:
            before = pa.concat_tables([self.strangers, before])
        return from_transactions(CONTRACT, [self.rows[n] for n in at]), before, self.after.take(pa.array(at))

    def diff(self) -> Diff:
        return reduce(add, (compare(DAYS[day], *self.of(day)) for day in range(3)), Diff())

    def pairs(self) -> list[tuple[Transaction, dict[str, float], dict[str, float]]]:
        before = {row["transaction_id"]: row for row in self.before.to_pylist()}
        after = self.after.to_pylist()
        return [(row, before[row.id], new) for row, new in zip(self.rows, after, strict=True) if row.id in before]


@pytest.fixture(scope="module")
def compared() -> Compared:
    return Compared()


@pytest.fixture(scope="module")
def report(compared: Compared) -> DiffReport:
    return DiffReport(CONTRACT, "the decisions of record", "v3", "2026-01-01", "2026-01-04", compared.diff())


def test_every_figure_is_what_counting_row_by_row_gives(compared: Compared) -> None:
    pairs, total = compared.pairs(), compared.diff().total
    raised = [row for row, old, new in pairs if new["is_fraud"] > old["is_fraud"]]
    dropped = [row for row, old, new in pairs if new["is_fraud"] < old["is_fraud"]]
    alerts = [[row for row, *sides in pairs if sides[side]["is_fraud"]] for side in (0, 1)]
    frauds = [row for row, *_ in pairs if row.label == 1]
    assert total.transactions == len(pairs) == 570
    assert [total.alerts_before, total.alerts_after] == [len(side) for side in alerts]
    assert (total.raised, total.dropped) == (len(raised), len(dropped))
    assert min(total.raised, total.dropped) > 20
    assert total.raised_amount == sum(row.amount for row in raised)
    assert total.money_at_stake == sum(row.amount for row in raised + dropped)
    assert (total.raised_frauds, total.dropped_frauds) == (
        sum(row.label == 1 for row in raised),
        sum(row.label == 1 for row in dropped),
    )
    known = [[row for row in side if row.label is not None] for side in alerts]
    right = [sum(row.label == 1 for row in side) for side in alerts]
    assert (total.precision_before, total.precision_after) == (right[0] / len(known[0]), right[1] / len(known[1]))
    assert (total.recall_before, total.recall_after) == (right[0] / len(frauds), right[1] / len(frauds))


def test_days_segments_and_bins_each_add_up_to_the_total(compared: Compared) -> None:
    diff = compared.diff()
    assert set(diff.days) == set(DAYS)
    for column in ("device_type", "location", "is_vpn"):
        parts = [tally for (name, _), tally in diff.segments.items() if name == column]
        assert reduce(add, parts) == diff.total
    assert diff.segments["location", "Lyon"].transactions == sum(
        row.categories[1] == "Lyon" for row in compared.rows[30:]
    )
    assert sum(diff.shifts) == diff.total.transactions == sum(diff.versions_before.values())


def test_what_one_side_alone_decided_on_is_counted_and_in_no_other_figure(compared: Compared) -> None:
    diff = compared.diff()
    assert (diff.only_before, diff.only_after) == (40, 30)


def test_shifts_are_counted_by_how_far_and_which_way(compared: Compared) -> None:
    row = transactions(8)
    table = from_transactions(CONTRACT, row)
    before = decisions(row, 1).set_column(1, "score", pa.array([0.5] * 8))
    after = before.set_column(1, "score", pa.array([0.5, 0.5005, 0.4995, 0.75, 0.25, 0.515, 0.485, 1.0]))
    diff = compare("2026-01-01", table, before, after)
    counted = {words: n for words, n in zip(shift_labels(), diff.shifts, strict=True) if n}
    assert counted == {
        "down by 0.25 to 0.5": 1,
        "down by 0.01 to 0.05": 1,
        "within 0.001": 3,
        "up by 0.01 to 0.05": 1,
        "up by 0.25 to 0.5": 1,
        "up by 0.5 or more": 1,
    }
    assert diff.equal_scores == 1
    assert len(shift_labels()) == len(EDGES) + 1


def test_the_dearest_flips_of_each_way_are_kept(compared: Compared) -> None:
    flips = compared.diff().flips
    raised = sorted(
        (row.amount for row, old, new in compared.pairs() if new["is_fraud"] > old["is_fraud"]), reverse=True
    )
    assert [flip.amount for flip in flips if flip.raised] == raised[:10]
    assert len(flips) == 20


def test_the_same_decisions_differ_in_nothing(compared: Compared) -> None:
    table, _, after = compared.of(0)
    diff = compare(DAYS[0], table, after, after)
    assert (diff.total.flipped, diff.flips, diff.equal_scores) == (0, (), len(table))
    report = DiffReport(CONTRACT, "v3", "v3", DAYS[0], DAYS[1], diff)
    assert report.verdict == f"all {len(table)} decisions are the same"
    assert b"dearest" not in render_diff(report)


def test_a_day_on_which_the_sides_share_nothing_is_told_as_such(compared: Compared) -> None:
    table, _, after = compared.of(0)
    diff = compare(DAYS[0], table, compared.strangers, after)
    assert (diff.total.transactions, diff.only_before, diff.only_after) == (0, 40, len(table))
    assert b"0.0" in render_diff(DiffReport(CONTRACT, "x", "y", DAYS[0], DAYS[1], diff))


def test_a_transaction_decided_twice_is_no_side_to_compare_with(compared: Compared) -> None:
    table, before, after = compared.of(0)
    with pytest.raises(BadInput, match="twice"):
        compare(DAYS[0], table, pa.concat_tables([before, before]), after)


def test_the_page_opens_from_a_folder_and_tells_no_id(report: DiffReport, compared: Compared) -> None:
    page = render_diff(report).decode()
    assert not re.search(r"(src|href)\s*=\s*[\"'](?!data:)|@import|url\(|<script|https?://", page)
    assert not any(row.id in page or row.entities[0] in page for row in compared.rows)
    for words in ("flagged only after", "At stake", "Precision of alerts", "within 0.001", "location", "USD"):
        assert words in page, words


def test_the_summary_and_the_figures_say_the_same(report: DiffReport) -> None:
    figures, summary = json.loads(diff_figures(report)), diff_markdown(report, "out/diff.html")
    total = figures["total"]
    assert f"{total['raised'] + total['dropped']:,} of 570 decisions flip" in summary
    assert f"money at stake: {total['money_at_stake'] / 100:,.2f}" in summary
    assert figures["only_before"] == 40
    assert "40 before, 30 after" in summary
    assert sum(figures["score_shift"].values()) == 570
    assert not re.search(r"T0000\d|U00\d", json.dumps(figures) + summary)
