"""What a backfill's decisions change, for people: a page, a summary, and the figures as JSON."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from fraudline.backfill.diffs import Diff, Tally, shift_labels
from fraudline.contract import Contract
from fraudline.quality.masking import mask, shown
from fraudline.quality.pages import render
from fraudline.quality.words import in_words

# Values of a category that are shown, those with most flips first; the rest is one row.
MOST_VALUES = 12
OTHERS = "all others"


@dataclass(frozen=True)
class DiffReport:
    """A diff and what was compared: `before` and `after` in words, days of [start, end)."""

    contract: Contract
    before: str
    after: str
    start: str
    end: str
    diff: Diff

    @property
    def total(self) -> Tally:
        return self.diff.total

    @property
    def verdict(self) -> str:
        """In a sentence."""
        flipped, transactions = self.total.flipped, self.total.transactions
        if not flipped:
            return f"all {transactions:,} decisions are the same"
        return f"{flipped:,} of {transactions:,} decisions flip"

    def money(self, minor_units: int) -> str:
        amount = self.contract.amount
        return f"{in_words(minor_units / amount.minor_units, 'amount')} {amount.currency}"


class Chart(NamedTuple):
    """Counts by bin, and those of the other side where there are any."""

    labels: tuple[str, ...]
    after: tuple[int, ...]
    before: tuple[int, ...] = ()

    @property
    def top(self) -> int:
        return max(1, *self.after, *self.before)


def render_diff(report: DiffReport) -> bytes:
    """A self-contained HTML page."""
    days = sorted(report.diff.days)
    tallies = [report.diff.days[day] for day in days]
    return render(
        "diff.html.j2",
        report=report,
        total=report.total,
        days=len(days),
        figures=_figures_of_labels(report.total),
        alerts=Chart(tuple(days), tuple(t.alerts_after for t in tallies), tuple(t.alerts_before for t in tallies)),
        shifts=Chart(shift_labels(), report.diff.shifts),
        segments=_segments(report),
        flips=[(flip, mask(flip.transaction_id)) for flip in report.diff.flips],
    )


def diff_markdown(report: DiffReport, page: str) -> str:
    """The same in a few lines; `page` is where the page is."""
    total, diff = report.total, report.diff
    days = max(1, len(diff.days))
    lines = [
        f"## {report.verdict.capitalize()}: {report.contract.name}, {report.start} to {report.end}",
        "",
        f"{report.after} against {report.before}.",
        "",
        "| | before | after |",
        "|---|---:|---:|",
        f"| alerts a day | {total.alerts_before / days:,.1f} | {total.alerts_after / days:,.1f} |",
        *(f"| {name} | {before} | {after} |" for name, before, after in _figures_of_labels(total)),
        "",
        f"- flagged only after: {total.raised:,}"
        f" ({report.money(total.raised_amount)}, {total.raised_frauds:,} known frauds)",
        f"- flagged only before: {total.dropped:,}"
        f" ({report.money(total.dropped_amount)}, {total.dropped_frauds:,} known frauds)",
        f"- money at stake: {report.money(total.money_at_stake)}",
        f"- scores equal to the bit: {diff.equal_scores:,} of {total.transactions:,}",
        f"- decided on one side only: {diff.only_before:,} before, {diff.only_after:,} after",
        "",
        f"The page: `{page}`",
    ]
    return "\n".join(lines) + "\n"


def diff_figures(report: DiffReport) -> bytes:
    """JSON: what was compared, the totals, and every day, segment and bin; amounts in minor units."""
    diff = report.diff
    figures: dict[str, Any] = {
        "contract": report.contract.name,
        "before": report.before,
        "after": report.after,
        "start": report.start,
        "end": report.end,
        "versions_before": dict(sorted(diff.versions_before.items())),
        "only_before": diff.only_before,
        "only_after": diff.only_after,
        "equal_scores": diff.equal_scores,
        "total": _figures(report.total),
        "days": {day: _figures(tally) for day, tally in sorted(diff.days.items())},
        "segments": [
            {"column": column, "value": shown(report.contract, column, value), **_figures(tally)}
            for (column, value), tally in sorted(diff.segments.items())
        ],
        "score_shift": dict(zip(shift_labels(), diff.shifts, strict=True)),
    }
    return json.dumps(figures, indent=1).encode() + b"\n"


def _figures(tally: Tally) -> dict[str, Any]:
    shares = ("precision_before", "precision_after", "recall_before", "recall_after")
    return {
        **dataclasses.asdict(tally),
        "money_at_stake": tally.money_at_stake,
        **{name: getattr(tally, name) for name in shares},
    }


def _figures_of_labels(total: Tally) -> list[tuple[str, str, str]]:
    """Rows of (what, before, after); none where no label is known."""
    if not total.labelled:
        return []
    return [
        (
            "precision of alerts",
            in_words(total.precision_before, "share"),
            in_words(total.precision_after, "share"),
        ),
        ("recall", in_words(total.recall_before, "share"), in_words(total.recall_after, "share")),
        ("frauds caught", f"{total.caught_before:,}", f"{total.caught_after:,}"),
        (
            "false alerts",
            f"{total.labelled_alerts_before - total.caught_before:,}",
            f"{total.labelled_alerts_after - total.caught_after:,}",
        ),
    ]


def _segments(report: DiffReport) -> list[tuple[str, list[tuple[str, Tally]]]]:
    """By column its values, as a report may show them, those with most flips first."""
    columns: dict[str, dict[str, Tally]] = {}
    for (column, value), tally in report.diff.segments.items():
        columns.setdefault(column, {})[value] = tally
    return [(column, _values(report.contract, column, values)) for column, values in columns.items()]


def _values(contract: Contract, column: str, values: Mapping[str, Tally]) -> list[tuple[str, Tally]]:
    ranked = sorted(values.items(), key=lambda item: (-item[1].flipped, -item[1].transactions, item[0]))
    rows = [(shown(contract, column, value), tally) for value, tally in ranked[:MOST_VALUES]]
    rest = sum((tally for _, tally in ranked[MOST_VALUES:]), Tally())
    return [*rows, (OTHERS, rest)] if len(ranked) > MOST_VALUES else rows
