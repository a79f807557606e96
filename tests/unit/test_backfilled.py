"""A backfill's rows are those that every path would make of the same decisions."""

from dataclasses import replace
from datetime import UTC
from functools import lru_cache

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudline.backfill.decisions import cuts, origin_of, rows_of
from fraudline.backfill.past import Partition, ScoredDay, decisions
from fraudline.clock import to_micros
from fraudline.decision import Decision, decision_item, pack
from fraudline.durations import HOUR
from fraudline.model.bundle import Bundle, load_bundle
from fraudline.transactions.table import NOT_RECORDED, from_transactions
from fraudline.transactions.transaction import Transaction
from tests.realtime.bundles import bundle_files, version_of

ORIGIN, SCORED_AT = origin_of("april"), 1_767_225_600_000_001
# All that an id may hold, quotes and backslashes included.
ids = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=128)
moments = st.datetimes().map(lambda moment: to_micros(moment.replace(tzinfo=UTC)))
hours = st.integers(0, 500_000).map(lambda hour: hour * HOUR) | st.just(NOT_RECORDED)


@lru_cache
def bundle_of(contract: str) -> Bundle:
    files = dict(bundle_files(contract))
    return load_bundle(files.__getitem__, version_of(files))


@st.composite
def scored_days(draw: st.DrawFn, bundle: Bundle) -> ScoredDay:
    """Any transactions with any features, and scores on both sides of the threshold."""
    contract, made = bundle.contract, []
    for id_ in draw(st.lists(ids, min_size=1, max_size=12, unique=True)):
        entities = tuple(draw(ids) for _ in contract.entities)
        categories = tuple("x" for _ in contract.categories)
        flags = tuple(0 for _ in contract.flags)
        made.append(Transaction(id_, draw(moments), draw(st.integers(0, 10**12)), entities, categories, flags, None))
    table = from_transactions(contract, made)
    count, random = len(made), np.random.default_rng(draw(st.integers(0, 2**32)))
    built = st.lists(hours, min_size=count, max_size=count).map(np.array)
    table = replace(
        table,
        effective_time=table.timestamp + random.integers(0, HOUR, count),
        built_through=draw(st.none() | built),
    )
    chances = st.floats(1e-15, 1 - 1e-15)
    scores = np.array(draw(st.lists(chances, min_size=count, max_size=count)))
    features = random.lognormal(0.0, 9.0, (count, len(bundle.features.names)))
    return ScoredDay(Partition("2026-01-05", 0, count, ""), table, decisions(table, scores, bundle), features)


def items_one_by_one(day: ScoredDay, bundle: Bundle, expires_at: int | None) -> list[object]:
    """The same rows by way of a `Decision` each, as JSON has them."""
    assert day.features is not None
    names = [entity.name for entity in bundle.contract.entities]
    items = []
    for row, transaction in enumerate(day.table.transactions()):
        score, features = day.decisions["score"][row].as_py(), day.features[row].tolist()
        built = None if day.table.built_through is None else int(day.table.built_through[row])
        decision = Decision(
            transaction_id=transaction.id,
            origin=ORIGIN,
            score=score,
            is_fraud=score >= bundle.threshold,
            threshold=bundle.threshold,
            model_version=bundle.version,
            reasons=tuple(bundle.reasons(features)) if score >= bundle.threshold else (),
            event_time=transaction.timestamp,
            effective_time=int(day.table.effective_time[row]),
            entities=dict(zip(names, transaction.entities, strict=True)),
            amount=transaction.amount,
            features=pack(features),
            position="",
            profile_position="",
            scored_at=SCORED_AT,
            digest=b"",
            built_through=None if built == NOT_RECORDED else built,
        )
        items.append(msgspec.json.decode(msgspec.json.encode(decision_item(decision, expires_at))))
    return items


@pytest.mark.parametrize("contract", ["ecommerce", "cards"])
@settings(max_examples=100, deadline=None)
@given(data=st.data(), expires_at=st.none() | st.integers(0, 2**33))
def test_rows_made_from_columns_are_those_of_every_path(
    contract: str, data: st.DataObject, expires_at: int | None
) -> None:
    bundle = bundle_of(contract)
    day = data.draw(scored_days(bundle))
    rows = [row for part in cuts(day, 5) for row in rows_of(part, bundle, ORIGIN, SCORED_AT, expires_at)]
    assert [msgspec.json.decode(row) for row in rows] == items_one_by_one(day, bundle, expires_at)


def test_rows_without_features_are_none() -> None:
    bundle = bundle_of("ecommerce")
    table = from_transactions(bundle.contract, [])
    day = ScoredDay(Partition("2026-01-05", 0, 0, ""), table, pa.table({}))
    with pytest.raises(ValueError, match="without their features"):
        rows_of(day, bundle, ORIGIN, SCORED_AT)
