"""The diff of a backfill: what it is held against, and the report of what differs."""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.backfill.before import Before, Days, DiffTarget, OneFile, Record, SameFeatures
from fraudline.adapters.backfill.partitions import place_of
from fraudline.adapters.registry import Registry
from fraudline.adapters.storage.objects import open_objects
from fraudline.adapters.tables.decisions import Decisions
from fraudline.contract import Contract
from fraudline.errors import BadInput
from fraudline.model.bundle import Bundle, load_bundle
from fraudline.quality.diff_report import DiffReport, diff_figures, diff_markdown, render_diff
from fraudline.settings import load_settings
from tasks import artifacts
from tasks.progress import say
from tasks.steps import step

RECORD = "record"
PAGE, SUMMARY, FIGURES = "diff.html", "diff.md", "diff.json"


@dataclass(frozen=True)
class Compared:
    """What differs, in numbers; `money_at_stake` in the currency's units, `report` is the page."""

    against: str
    transactions: int
    flagged_only_after: int
    flagged_only_before: int
    money_at_stake: float
    only_before: int
    only_after: int
    report: str


def is_path(compare_to: str) -> bool:
    """Whether this names files rather than a version: versions have no slash and no ending."""
    return "/" in compare_to or compare_to.endswith(".parquet") or Path(compare_to).exists()


@step(name="find what to compare with", retries=2, retry_delay_seconds=2)
def stored_before(compare_to: str, contract: Contract, start: date) -> Before:
    """The decisions of record, or those in files."""
    if compare_to != RECORD:
        return _files(compare_to, contract)
    settings = load_settings()
    decisions = Decisions(DynamoDB(AwsJson("dynamodb")), settings.decisions_table, contract)
    # A producer's clock may be ahead: what counts on the first day may have come before midnight.
    first_day = (start - timedelta(days=1)).isoformat()
    return Record(decisions, open_objects(f"s3://{settings.landing_bucket}"), contract, first_day)


def _files(place: str, contract: Contract) -> Before:
    if "://" not in place and not Path(place).exists():
        raise BadInput(f"there is no {place} to compare with: name the output of a backfill, a version, or record")
    return OneFile(Path(place)) if Path(place).is_file() else Days(place_of(place), contract)


@step(name="load the other version", retries=2, retry_delay_seconds=2)
def other_version(registry: Registry, name: str) -> Bundle:
    version = registry.resolve(name)
    return load_bundle(registry.read(version).__getitem__, version)


def has_same_features(bundle: Bundle, other: Bundle) -> bool:
    """Whether both score the very same numbers."""
    return bundle.features.hash == other.features.hash


def same_features(other: Bundle) -> Before:
    return SameFeatures(other)


@step(name="report what differs")
def report(target: DiffTarget, contract: Contract, version: str, start: date, end: date, reports: str) -> Compared:
    """Write page, summary and figures below `reports`; `BadInput` if the sides share no transaction."""
    diff, against = target.diff, target.before.name
    if not diff.total.transactions:
        raise BadInput(
            f"none of the {diff.only_after:,} transactions scored is among {against}: compare with decisions on the"
            " same days of the same contract (the new decisions are kept)"
        )
    told = DiffReport(contract, against, f"version {version}", start.isoformat(), end.isoformat(), diff)
    objects, folder = open_objects(reports), f"{contract.name}-{start}-{end}"
    page = f"{objects.location}/{folder}/{PAGE}"
    summary = diff_markdown(told, page)
    objects.put(f"{folder}/{PAGE}", render_diff(told))
    objects.put(f"{folder}/{SUMMARY}", summary.encode())
    objects.put(f"{folder}/{FIGURES}", diff_figures(told))
    artifacts.show_markdown(f"backfill-diff-{contract.name}", summary, told.verdict)
    say(told.verdict.capitalize())
    total = diff.total
    return Compared(
        against=against,
        transactions=total.transactions,
        flagged_only_after=total.raised,
        flagged_only_before=total.dropped,
        money_at_stake=total.money_at_stake / contract.amount.minor_units,
        only_before=diff.only_before,
        only_after=diff.only_after,
        report=page,
    )
