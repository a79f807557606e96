"""A backfill's transactions from the stream itself."""

from collections.abc import Sequence
from dataclasses import replace

from fraudline.adapters.aws_json import AwsJson
from fraudline.adapters.kinesis import Stream
from fraudline.adapters.stream_window import after, nothing_before, read_stream
from fraudline.adapters.tombstones import erased_people
from fraudline.backfilling import PastInMemory
from fraudline.bundle import Bundle
from fraudline.columns import Landed
from fraudline.contract import Contract
from fraudline.erasure_files import with_pseudonyms
from fraudline.errors import NotReady
from fraudline.settings import load_settings
from tasks import landing
from tasks.backfilling import Read
from tasks.progress import say
from tasks.steps import step


def read_since(
    contract: Contract, locations: Sequence[str], since: int, window: tuple[int, int], bundle: Bundle
) -> Read:
    """What the stream keeps since `since` after these files, else after all that has landed, if anything has."""
    both = after(_history(contract, locations, window[1]), streamed(contract, since, bundle))
    return Read(PastInMemory.of(both.table, *window, bundle), both.rejects, both.duplicates)


def _history(contract: Contract, locations: Sequence[str], as_of: int) -> Landed:
    if locations:
        return landing.load(contract, locations)
    try:
        return landing.load_all(contract, as_of)
    except NotReady:
        # A stream that nobody has scored yet is all there is.
        return nothing_before(contract)


@step(name="read the stream", retries=2, retry_delay_seconds=5)
def streamed(contract: Contract, since: int, bundle: Bundle) -> Landed:
    """Its records as transactions; no lease is taken and nothing is written."""
    settings = load_settings()
    landed = read_stream(
        Stream(AwsJson("kinesis"), settings.stream),
        bundle,
        since,
        lambda source, rows: say(f"Read {rows:,} records up to {source}"),
    )
    return replace(landed, table=with_pseudonyms(landed.table, erased_people(settings, contract)))
