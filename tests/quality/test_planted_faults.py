"""Faults of a whole table, each row of it valid: the suite names every one, and nothing else."""

from collections.abc import Callable
from datetime import date

import numpy as np
import pandas as pd
import pytest

from expectations import where_to_correct
from fraudline.clock import day_start, parse_timestamp
from fraudline.contract import Contract, load_contract
from fraudline.errors import BadInput
from fraudline.quality.measures import Context
from fraudline.quality.outcome import QualityGate, QualityResult, gate
from fraudline.training.plan import Plan
from fraudline.transactions.landed import Landed
from tasks import training

Judge = Callable[..., QualityResult]
Read = Callable[[pd.DataFrame], Landed]
Fault = Callable[[pd.DataFrame], pd.DataFrame]

END = "2026-02-19T00:00:00Z"


def _moved(frame: pd.DataFrame, hours: int, rows: pd.Series | slice = slice(None)) -> pd.DataFrame:
    frame = frame.copy()
    time = pd.to_datetime(frame.loc[rows, "timestamp"]) + pd.Timedelta(hours=hours)
    frame.loc[rows, "timestamp"] = time.dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    return frame


def clock_of_another_zone(frame: pd.DataFrame) -> pd.DataFrame:
    return _moved(frame, -9)


def clock_that_runs_ahead(frame: pd.DataFrame) -> pd.DataFrame:
    return _moved(frame, 5, frame.index[-500:])


def time_of_loading(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(timestamp="2026-02-18T23:00:00Z")


def dropped_category(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["device_type"] != "tablet"]


def doubled_file(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame, frame])


def cents_for_dollars(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(amount=(frame["amount"] * 100).round())


def default_amount(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(amount=frame["amount"].where(np.arange(len(frame)) % 3 == 0, 9.99))


def stale_file(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["timestamp"] < "2026-02-12"]


def collapsed_volume(frame: pd.DataFrame) -> pd.DataFrame:
    newest = frame["timestamp"] >= "2026-02-18"
    return frame[~newest | (np.arange(len(frame)) % 10 == 0)]


def lost_days(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[(frame["timestamp"] < "2026-01-28") | (frame["timestamp"] >= "2026-01-30")]


def ids_written_anew(frame: pd.DataFrame) -> pd.DataFrame:
    newest = frame["timestamp"] >= "2026-02-18"
    return frame.assign(user_id=frame["user_id"].where(~newest, frame["user_id"].str.lower()))


def test_account(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(user_id=frame["user_id"].where(np.arange(len(frame)) % 3 > 0, "U0"))


test_account.__test__ = False  # type: ignore[attr-defined]


def stuck_flag(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(is_vpn=0)


def flipped_labels(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(is_fraud=1 - frame["is_fraud"])


def labels_not_in_yet(frame: pd.DataFrame) -> pd.DataFrame:
    """The newest weeks are sent as honest until somebody complains."""
    return frame.assign(is_fraud=frame["is_fraud"].where(frame["timestamp"] < "2026-02-11", 0))


FAULTS: dict[Fault, str] = {
    clock_of_another_zone: "nights are as quiet as usual",
    clock_that_runs_ahead: "no clock runs ahead",
    time_of_loading: "times are those of the transactions",
    dropped_category: "every device_type appears",
    doubled_file: "the file is not doubled",
    cents_for_dollars: "amounts have the usual size",
    default_amount: "amounts vary",
    stale_file: "the data is fresh",
    collapsed_volume: "volume is as in earlier weeks",
    lost_days: "no hours are missing",
    ids_written_anew: "most user ids were seen before",
    test_account: "no single user dominates",
    stuck_flag: "is_vpn is not stuck",
    flipped_labels: "the fraud rate is plausible",
    labels_not_in_yet: "the fraud rate is steady",
}
# What else must fail with it: the same fault seen from another side.
ALSO = {
    time_of_loading: {"nights are as quiet as usual"},
    doubled_file: {"few rows repeat"},
    cents_for_dollars: {"amounts have minor units", "no prepaid card pays over 5,000", "no debit card pays over 50,000",
                        "no credit card pays over 200,000"},
    stale_file: set(),
}  # fmt: skip


def present(contract: Contract) -> Context:
    return Context(as_of=parse_timestamp(END, contract.timezone))


def test_a_clean_table_fails_nothing(landed_clean: Landed, judge: Judge, contract: Contract) -> None:
    for stage in ("landed", "training", "labels"):
        assert judge(landed_clean, stage, present(contract)).failures == ()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_the_suite_names_the_fault(
    fault: Fault, clean: pd.DataFrame, read: Read, judge: Judge, contract: Contract
) -> None:
    landed = read(fault(clean))
    failed: set[str] = set()
    for stage in ("landed", "training"):
        failed |= {outcome.name for outcome in judge(landed, stage, present(contract)).failures}
    assert FAULTS[fault] in failed
    assert failed <= {FAULTS[fault]} | ALSO.get(fault, set())


def test_a_missing_column_is_named_before_anything_is_judged(clean: pd.DataFrame, read: Read) -> None:
    with pytest.raises(BadInput, match=r"transactions\.csv lacks column 'card_type' of contract 'ecommerce'"):
        read(clean.drop(columns="card_type"))


def test_a_critical_failure_of_the_table_stops_with_one_sentence_that_says_what_to_do(
    clean: pd.DataFrame, read: Read, judge: Judge
) -> None:
    result = judge(read(cents_for_dollars(clean)))
    with pytest.raises(QualityGate, match="'amounts have the usual size'") as stopped:
        gate(result, where_to_correct(load_contract("ecommerce"), "training"))
    assert str(stopped.value).endswith("or expectations/ecommerce/training.json")
    assert "\n" not in str(stopped.value)
    assert stopped.value.exit_code == 1


def test_a_retrain_of_a_file_whose_rows_are_mostly_refused_stops(clean: pd.DataFrame, read: Read) -> None:
    landed = read(clean.assign(device_type=clean["device_type"].where(clean.index % 5 < 2, "fridge")))
    plan = Plan(landed.table.contract, day_start(date(2026, 2, 15)))
    with pytest.raises(QualityGate, match=r"'most rows are transactions': 60%, expected at most 20%"):
        training.judge(landed, landed.table, plan)


def test_a_warning_stops_nothing(clean: pd.DataFrame, read: Read, judge: Judge) -> None:
    result = judge(read(stuck_flag(clean)))
    assert result.failures
    assert gate(result, "nothing") is result


def test_as_many_transactions_at_another_hour_of_each_day_are_the_usual_volume(
    clean: pd.DataFrame, read: Read, judge: Judge
) -> None:
    at = np.arange(40 * 300)
    hour = np.random.default_rng(1).integers(0, 24, 40)[at // 300]
    time = pd.Timestamp("2026-01-05T00:00:00Z") + pd.to_timedelta(at // 300 * 24 + hour, unit="h")
    runs = clean.head(len(at)).assign(timestamp=(time + pd.to_timedelta(at % 300, unit="s")).strftime("%Y-%m-%dT%XZ"))
    assert judge(read(runs)).measures["volume_ratio"] == pytest.approx(1, abs=0.5)
