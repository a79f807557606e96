"""Great Expectations, asked once per frame: expectations in, outcomes with every failing row's position out.

Importing it costs seconds and hundreds of megabytes, so that happens at the first call, never in a scoring process.
"""

import logging
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fraudline.errors import BadInput
from fraudline.quality.masking import mask, plain
from fraudline.quality.measures import MEASURES
from fraudline.quality.outcome import NO_POSITIONS, ExpectationOutcome, Positions
from fraudline.quality.suite import Expectation
from fraudline.quality.words import Unit, expected_words

if TYPE_CHECKING:
    from great_expectations.core import ExpectationValidationResult

# Of what a column holds, so many values are told, each in words that a report may show.
MOST_VALUES = 20
Tell = Callable[[str], str]
# The index is the id: asking for id columns instead makes a dictionary per failing row, ten times slower.
_RESULT_FORMAT = {"result_format": "COMPLETE", "return_unexpected_index_query": False, "include_unexpected_rows": False}


def judge(
    frame: pd.DataFrame, expectations: Sequence[Expectation], personal: frozenset[str] = frozenset()
) -> list[ExpectationOutcome]:
    """An outcome for each expectation, in order. The frame's index must be 0, 1, 2, ...

    Values of `personal` columns that an outcome tells of are masked.
    An expectation that cannot be judged (an unknown type, a column that is not there) is `BadInput` naming it.
    """
    if not expectations:
        return []
    results = _validate(frame, [_configured(expectation) for expectation in expectations])
    by_name = {result.expectation_config.meta["name"]: result for result in results}
    return [
        _outcome(
            expectation,
            by_name[expectation.meta.name],
            frame,
            mask if not personal.isdisjoint(expectation.columns) else plain,
        )
        for expectation in expectations
    ]


def _configured(expectation: Expectation) -> Any:
    from great_expectations.exceptions import ExpectationNotFoundError
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    try:
        return ExpectationConfiguration(
            type=expectation.type,
            kwargs=expectation.kwargs,
            severity=expectation.severity,
            meta={"name": expectation.meta.name},
        ).to_domain_obj()
    except (ExpectationNotFoundError, TypeError, ValueError) as error:
        raise _unjudged(expectation, _first(error)) from error


def _first(error: Exception) -> str:
    """What is wrong first: pydantic's own text begins with a count of errors."""
    found = error.errors() if hasattr(error, "errors") else []
    told = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in found]
    return (told or str(error).splitlines())[0]


def _validate(frame: pd.DataFrame, expectations: list[Any]) -> "Iterable[ExpectationValidationResult]":
    # Read when the library is imported; offline it would wait for its analytics server.
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    # It names a temporary folder at every check, at a level that it sets itself.
    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("memory").add_dataframe_asset("frame")
    batch = asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": frame})
    suite = gx.ExpectationSuite(name="suite", expectations=expectations)
    return batch.validate(suite, result_format=_RESULT_FORMAT).results  # type: ignore[no-any-return]


def _outcome(expectation: Expectation, result: Any, frame: pd.DataFrame, tell: Tell) -> ExpectationOutcome:
    if message := _exception(result.exception_info):
        raise _unjudged(expectation, message)
    # Of distinct values, too, the library counts unexpected ones, but of no rows.
    row_level = expectation.meta.frame == "transactions" and "unexpected_index_list" in result.result
    positions = _positions(result) if row_level and not result.success else NO_POSITIONS
    return ExpectationOutcome(
        name=expectation.meta.name,
        column=expectation.column,
        severity=expectation.severity,
        success=bool(result.success),
        observed=_observed(expectation, result.result, frame, tell),
        unit="share" if row_level else _unit(expectation),
        expected=expected_words(expectation.kwargs, _unit(expectation)),
        failed_rows=len(positions),
        row_level=row_level,
        why=expectation.meta.why,
        positions=positions,
    )


def _exception(info: dict[str, Any]) -> str | None:
    """The first exception's message: the library gives one record, or one by metric."""
    records = [info] if "raised_exception" in info else list(info.values())
    messages = (record["exception_message"] for record in records if record["raised_exception"])
    return next((str(message).splitlines()[0] for message in messages), None)


def _unjudged(expectation: Expectation, message: str) -> BadInput:
    return BadInput(f"expectation {expectation.meta.name!r} cannot be judged: {message}; correct it in its suite")


def _positions(result: Any) -> Positions:
    return np.unique(np.array(result.result["unexpected_index_list"], dtype=np.int64))


def _observed(expectation: Expectation, values: dict[str, Any], frame: pd.DataFrame, tell: Tell) -> float | str | None:
    if expectation.meta.frame == "window" and expectation.column in frame:
        value = float(frame[expectation.column].iloc[0])
        return None if np.isnan(value) else value
    if "unexpected_index_list" in values:
        about = values["element_count"] - (values.get("missing_count") or 0)
        return float(values["unexpected_count"] / about) if about else None
    if "unexpected_count" in values or "missing_count" in values:
        return _distinct(values, tell)
    observed = values.get("observed_value", "as expected")
    if isinstance(observed, list | tuple | set):
        return _listed(observed, len(observed), tell)
    return observed if observed is None or isinstance(observed, str) else float(observed)


def _distinct(values: dict[str, Any], tell: Tell) -> str:
    """Which distinct values there are that should not be, and which are not that should."""
    found = [
        f"{word} {_listed(values[f'partial_{kind}_list'], values[f'{kind}_count'], tell)}"
        for word, kind in (("without", "missing"), ("with", "unexpected"))
        if values.get(f"{kind}_count")
    ]
    return " and ".join(found) or "as expected"


def _listed(some: Collection[Any], count: int, tell: Tell) -> str:
    told = [tell(str(value)) for value in islice(some, MOST_VALUES)]
    return ", ".join(told) + (f" and {count - len(told):,} more" if count > len(told) else "")


def _unit(expectation: Expectation) -> Unit:
    """The unit of bounds; what is observed of single rows is always a share."""
    measure = MEASURES.get(expectation.column) if expectation.meta.frame == "window" else None
    return measure.unit if measure else ""
