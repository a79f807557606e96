"""Reading transactions, and keeping those that are none where a person finds them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fraudline.adapters.archive import label_files
from fraudline.adapters.archive.history import FILES, load_history, nothing_landed
from fraudline.adapters.archive.label_files import LabelFile, LabelRow, labels_of, load_labels
from fraudline.adapters.archive.reading import EVER
from fraudline.adapters.aws.backoff import within
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.clock import now_micros
from fraudline.adapters.inputs.files import load_transactions, rejected_lines
from fraudline.adapters.large.compact_verdicts import CompactVerdicts
from fraudline.adapters.large.days import LargeLanding
from fraudline.adapters.large.landing import landing_of, read_history
from fraudline.adapters.large.stream_runs import Streamed
from fraudline.adapters.large.workers import Workers
from fraudline.adapters.storage.guarded import open_guarded
from fraudline.adapters.storage.objects import Objects, open_objects
from fraudline.adapters.tables.labels import Labels
from fraudline.adapters.tables.tombstones import erased_people, erased_where_known
from fraudline.contract import Contract
from fraudline.erasure.files import with_pseudonyms
from fraudline.settings import load_settings
from fraudline.transactions.landed import Landed, RejectedRow
from fraudline.transactions.table import TransactionTable, from_transactions
from tasks.meter import Meter
from tasks.progress import say
from tasks.steps import step

LABEL_SECONDS = 300.0
# As of when everything is known that will ever be (microseconds).
ALL_TIMES = EVER


@step(name="load transactions")
def load(contract: Contract, locations: Sequence[str]) -> Landed:
    landed = load_transactions(contract, locations, _tell)
    return replace(landed, table=with_pseudonyms(landed.table, erased_where_known(contract)))


@step(name="load all that has landed", retries=2, retry_delay_seconds=5)
def load_all(contract: Contract, as_of: int, known_before: int = ALL_TIMES) -> Landed:
    """The deployment's labelled files and archive, with the verdicts known at `as_of` (microseconds).

    What the stream delivered at `known_before` or later is left out.
    """
    settings = load_settings()
    verdicts = _labels().all(within(LABEL_SECONDS))
    table = load_history(contract, landed(), verdicts, as_of, _tell, known_before)
    return replace(table, table=with_pseudonyms(table.table, erased_people(settings, contract)))


def on_disk(
    contract: Contract, as_of: int, folder: Path, workers: Workers, progress: Meter, streamed: Streamed | None = None
) -> LargeLanding:
    """The same in sorted runs below `folder`, where it may be larger than memory; and after it what a stream keeps."""
    parts = read_history(contract, landed(), folder, workers, progress)
    if streamed is None and not any(part.rows for part in parts):
        raise nothing_landed(landed())
    verdicts = CompactVerdicts.of(_labels().each(within(LABEL_SECONDS)), as_of)
    return landing_of(contract, parts, workers, streamed, verdicts, as_of)


def _labels() -> Labels:
    return Labels(DynamoDB(AwsJson("dynamodb")), load_settings().labels_table)


def landed() -> Objects:
    """The deployment's landing bucket."""
    return open_objects(f"s3://{load_settings().landing_bucket}")


def history(contract: Contract, locations: Sequence[str], as_of: int, known_before: int = ALL_TIMES) -> Landed:
    """What was asked for, or all there is."""
    return load(contract, locations) if locations else load_all(contract, as_of, known_before)


@step(name="load the past", retries=2, retry_delay_seconds=5)
def past(contract: Contract, locations: Sequence[str]) -> Landed:
    """What was before the stream: these files, else those that have landed, if any have."""
    objects = landed()
    if not locations and not any(True for _ in objects.list(FILES)):
        return Landed(0, from_transactions(contract, []), ())
    read = load_transactions(contract, locations or [f"{objects.location}/{FILES}"], _tell)
    return replace(read, table=with_pseudonyms(read.table, erased_people(load_settings(), contract)))


@step(name="read labels")
def read_labels(files: Sequence[str], table: TransactionTable) -> LabelFile:
    """What files of their own say of these transactions."""
    labels = load_labels(files, table)
    if files:
        _tell_of(labels)
    return labels


@step(name="read rows of labels")
def read_label_rows(files: Sequence[str]) -> list[LabelRow]:
    """The rows of files of labels, before anything is read of what they are about."""
    return label_files.read_label_rows(files)


def known_labels(rows: Sequence[LabelRow], table: TransactionTable) -> LabelFile:
    """What these rows say of these transactions, so far as it can be known by now."""
    labels = labels_of(rows, table, known_by=now_micros())
    _tell_of(labels)
    return labels


def _tell_of(labels: LabelFile) -> None:
    reasons = Counter(reject.reason for reject in labels.rejects).most_common()
    why = f" ({', '.join(f'{reason} {rows:,}' for reason, rows in reasons)})" if reasons else ""
    say(f"Read labels of {len(labels.verdicts):,} transactions, {len(labels.rejects):,} rows refused{why}")


def _tell(source: str, rows: int) -> None:
    say(f"Read {rows:,} rows from {source}")


@step(name="quarantine rejected rows", retries=2, retry_delay_seconds=2)
def quarantine(rejects: Sequence[RejectedRow], location: str, key: str) -> str | None:
    """Where the rejected rows were put, or None where there are none."""
    if not rejects:
        return None
    objects = open_guarded(location)
    objects.put(key, rejected_lines(rejects))
    return f"{objects.location}/{key}"
