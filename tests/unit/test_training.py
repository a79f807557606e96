"""What a retrain is fitted and judged on, and what it says when it cannot be."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pytest

from fraudline.adapters.inputs.files import load_transactions
from fraudline.clock import day_start
from fraudline.contract import Alerts, contract_from, load_contract
from fraudline.durations import DAY
from fraudline.errors import FraudlineError, NotReady
from fraudline.evaluation.judged import Judged, Scored, joined
from fraudline.evaluation.metrics import average_precision, card_precision, measure, measure_by_label_age
from fraudline.evaluation.thresholds import choose_thresholds, measure_ahead
from fraudline.features.definition import feature_set
from fraudline.features.offline import offline_features
from fraudline.model.matrix import score_matrix
from fraudline.model.scoring import Calibration
from fraudline.training.challenger import choose
from fraudline.training.dataset import NONE_UNLABELLED, Dataset, prepare
from fraudline.training.folds import MIN_FRAUDS, folds
from fraudline.training.plan import TEST_LENGTH, Plan
from fraudline.training.promotion import Decision, decide
from fraudline.training.walk_forward import calibrate, fold_margins, measure_candidate
from fraudline.transactions.table import UNKNOWN, Codes, TransactionTable, from_transactions
from fraudline.transactions.transaction import Transaction
from tests.unit.retrained import AS_OF, frame, plan, quick, retrain, shop


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> TransactionTable:
    path = tmp_path_factory.mktemp("in") / "transactions.csv"
    frame().to_csv(path, index=False)
    return load_transactions(shop(), [str(path)]).table


def relabelled(table: TransactionTable, label: Callable[[np.ndarray], np.ndarray]) -> TransactionTable:
    return replace(table, label=label(table.label).astype(np.int8))


# What may train


def test_only_labels_that_are_due_are_learnt_from(table: TransactionTable) -> None:
    dataset = prepare(table.take(table.timestamp < plan().as_of), plan())
    assert dataset.time.max() < plan().mature_until == day_start(AS_OF) - DAY
    assert set(np.unique(dataset.label)) == {0, 1}
    assert len(dataset.features) == len(dataset.label) == len(dataset.rows)


def test_a_label_that_came_late_is_not_learnt_from_though_it_is_due(table: TransactionTable) -> None:
    late = np.arange(len(table)) % 7 == 0
    delayed = replace(table, known_at=np.where(late, plan().as_of + 1, table.known_at))
    dataset = prepare(delayed, plan())
    assert not late[dataset.rows].any()


def test_a_fold_learns_only_labels_that_were_known_when_its_test_span_began(table: TransactionTable) -> None:
    fold = folds(prepare(table, plan()), plan())[0]
    late = np.arange(len(table)) % 7 == 0
    corrected = replace(table, known_at=np.where(late, np.maximum(table.known_at, fold.test_begin + 1), table.known_at))
    dataset = prepare(corrected, plan())
    learnt = dataset.trains(fold)
    assert learnt.any()
    assert not late[dataset.rows[learnt]].any()
    assert late[dataset.rows[dataset.span(fold.test_begin, fold.test_end)]].any()


def test_rows_that_expectations_exclude_train_nothing_but_stay_history(table: TransactionTable) -> None:
    excluded = np.arange(len(table)) % 3 == 0
    dataset = prepare(table, plan(excluded=excluded))
    assert not excluded[dataset.rows].any()
    wanted = np.zeros(len(table), bool)
    wanted[dataset.rows] = True
    known = table.labels_known_by(plan().as_of)
    assert dataset.features.tobytes() == offline_features(known, wanted).tobytes()


def test_unlabelled_rows_are_left_out_and_not_taken_for_honest(table: TransactionTable) -> None:
    silent = np.arange(len(table)) % 2 == 0
    dataset = prepare(relabelled(table, lambda label: np.where(silent, UNKNOWN, label)), plan())
    assert not silent[dataset.rows].any()


def test_the_alert_budget_is_for_all_transactions_and_not_for_the_labelled_ones_alone(table: TransactionTable) -> None:
    """People review what is flagged, whether its label ever becomes known or not."""
    rng = np.random.default_rng(3)
    silent = rng.random(len(table)) < 0.5
    some = relabelled(table, lambda label: np.where(silent, UNKNOWN, label))
    budget = shop().alerts.per_day
    measured = measure_candidate(quick("logistic"), prepare(some, plan()), plan())
    others = measured.judged.unlabelled
    assert measured.metrics.unlabelled == len(others.score) > 500
    days = len(np.unique(np.r_[measured.judged.time, others.time] // DAY))
    flagged = (np.r_[measured.judged.held, others.score] >= measured.thresholds.budget).sum()
    assert flagged == budget * days == round(measured.metrics.alerts_per_day * days)
    begin, end = measured.spans[0].test_begin, measured.spans[-1].test_end
    inside = silent & (table.timestamp >= begin) & (table.timestamp < end)
    assert np.array_equal(others.time, table.timestamp[inside])


def test_a_model_is_the_same_whatever_is_not_labelled_beside_its_training_rows(table: TransactionTable) -> None:
    silent = np.arange(len(table)) % 5 == 0
    some = prepare(relabelled(table, lambda label: np.where(silent, UNKNOWN, label)), plan())
    alone = replace(some, unlabelled=NONE_UNLABELLED)
    ours, theirs = (measure_candidate(quick("logistic"), dataset, plan()) for dataset in (some, alone))
    assert ours.judged.score.tobytes() == theirs.judged.score.tobytes()
    assert ours.metrics.average_precision == theirs.metrics.average_precision
    assert ours.thresholds.cost == theirs.thresholds.cost


def test_a_threshold_is_on_the_scale_of_the_published_scorer(table: TransactionTable) -> None:
    """The folds that it is chosen on have calibrations of their own, of fewer frauds."""
    candidate, dataset = quick("logistic"), prepare(table, plan())
    measured = measure_candidate(candidate, dataset, plan())
    spans = [fold_margins(candidate, measured.parameters, dataset, plan(), fold) for fold in measured.spans]
    margins = np.concatenate(spans)
    served = np.array([measured.calibration.score(margin) for margin in margins.tolist()])
    assert measured.judged.held.tobytes() == served.tobytes() != measured.judged.score.tobytes()
    assert measured.thresholds.budget in served
    alerts = (served >= measured.thresholds.budget).sum()
    assert alerts == shop().alerts.per_day * measured.judged.days
    assert measured.metrics.alerts_per_day == shop().alerts.per_day


def test_test_spans_are_whole_days_though_labels_come_after_hours() -> None:
    """Else a week would be eight calendar days, each with its budget of alerts."""
    values = shop().to_json()
    hours = contract_from({**values, "label": {**values["label"], "delay": "36h"}}, "test")
    assert plan(hours).mature_until == day_start(AS_OF - timedelta(days=2))
    assert plan().mature_until == day_start(AS_OF - timedelta(days=1))


def test_every_fold_keeps_the_gap_that_labels_leave_in_service(table: TransactionTable) -> None:
    current = plan()
    spans = folds(prepare(table, current), current)
    assert len(spans) >= 2
    for fold in spans:
        assert fold.train_end - fold.train_begin == current.contract.training_window
        assert fold.test_begin - fold.train_end == current.contract.label_delay
        assert current.earliest <= fold.train_begin
    assert spans[-1].test_end == current.mature_until
    assert all(a.test_end <= b.test_begin for a, b in pairwise(spans))


def test_a_long_history_is_judged_on_weeks() -> None:
    current = plan()
    time = np.arange(current.earliest, current.mature_until, DAY // 24)
    label = (np.arange(len(time)) % 5 == 0).astype(np.int8)
    nothing = np.zeros((len(time), 1))
    seen = [Transaction(str(row), int(at), 100, ("U1",), ("", "", ""), (0,)) for row, at in enumerate(time)]
    dataset = Dataset(from_transactions(shop(), seen), np.arange(len(time)), nothing, label, time)
    assert [f.test_end - f.test_begin for f in folds(dataset, current)] == [TEST_LENGTH] * 3


# When there is nothing to learn


def refusal(table: TransactionTable, current: Plan | None = None) -> str:
    current = current or plan()
    with pytest.raises(NotReady) as refused:
        folds(prepare(table, current), current)
    assert refused.value.exit_code == 3
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_day_before_the_first_label_is_due_is_too_early(table: TransactionTable) -> None:
    early = plan(as_of=date(2026, 1, 6))
    sentence = refusal(table.take(table.timestamp < early.as_of), early)
    assert sentence.startswith("no mature labels as of 2026-01-06: labels come 1d after their transaction")
    assert "2026-01-05 to 2026-01-05" in sentence
    assert "later --as-of" in sentence


def test_a_day_before_the_first_transaction_is_too_early(table: TransactionTable) -> None:
    early = plan(as_of=date(2025, 1, 1))
    assert refusal(table.take(table.timestamp < early.as_of), early).startswith("no transactions before 2025-01-01")


def test_a_file_without_labels_has_nothing_to_learn_from(table: TransactionTable) -> None:
    sentence = refusal(relabelled(table, lambda label: np.full_like(label, UNKNOWN)))
    assert sentence.startswith("no transaction from 2025-12-24 to 2026-01-18 that may train has a label known by")
    assert "fill column 'is_fraud', or give files of labels with --labels" in sentence


def test_a_file_that_ends_before_the_training_window_needs_an_earlier_day(table: TransactionTable) -> None:
    sentence = refusal(table, plan(as_of=date(2026, 6, 1)))
    assert sentence.startswith("the newest transaction is of 2026-01-24, and a retrain as of 2026-06-01 learns from")
    assert "choose an earlier --as-of" in sentence


@pytest.mark.parametrize(("value", "word"), [(0, "honest"), (1, "fraud")])
def test_a_window_of_one_class_is_named(table: TransactionTable, value: int, word: str) -> None:
    sentence = refusal(relabelled(table, lambda label: np.full_like(label, value)))
    assert f"are {word}: a model needs both" in sentence
    assert "2026-01-18" in sentence


def test_too_few_frauds_are_counted(table: TransactionTable) -> None:
    def few(label: np.ndarray) -> np.ndarray:
        return np.where((label == 1) & (np.cumsum(label == 1) <= MIN_FRAUDS), 1, 0)

    sentence = refusal(relabelled(table, few))
    assert "the newest mature training window, are too few" in sentence


def test_too_few_frauds_before_the_newest_window_are_counted(table: TransactionTable) -> None:
    early = table.timestamp < day_start(date(2026, 1, 15))
    sentence = refusal(relabelled(table, lambda label: np.where(early, 0, label)))
    left = ~early & (table.timestamp < plan().mature_until) & (table.label == 1)
    assert f"with {left.sum()} frauds before 2026-01-18 are too few" in sentence


def test_a_test_span_without_fraud_is_not_judged_on(table: TransactionTable) -> None:
    current = plan()
    quiet = table.timestamp >= current.mature_until - 6 * DAY
    sentence = refusal(relabelled(table, lambda label: np.where(quiet, 0, label)))
    assert "too few" in sentence


def test_a_newest_window_without_fraud_is_refused_before_anything_is_fitted_on_it(table: TransactionTable) -> None:
    values = shop().to_json()
    contract = contract_from({**values, "training": {"window": "1d"}, "alerts": {"per_day": 3}}, "test")
    current = Plan(contract, day_start(AS_OF))
    quiet = table.timestamp >= current.mature_until - DAY
    silenced = replace(relabelled(table, lambda label: np.where(quiet, 0, label)), contract=contract)
    with pytest.raises(NotReady, match="from 2026-01-17 to 2026-01-18, the newest mature training window"):
        retrain(_more_frauds(silenced, quiet), current)


def _more_frauds(table: TransactionTable, quiet: np.ndarray) -> TransactionTable:
    """Enough frauds on every earlier day."""
    return relabelled(table, lambda label: np.where(~quiet & (np.arange(len(label)) % 9 == 0), 1, label))


def test_every_refusal_of_training_is_one_that_the_command_line_prints() -> None:
    assert issubclass(NotReady, FraudlineError)


# What comes out


def test_the_published_model_is_the_measured_recipe_on_the_newest_mature_window(table: TransactionTable) -> None:
    made = retrain(table, plan())
    training = made.manifest.training
    assert (training["begin"], training["end"]) == ("2026-01-15", "2026-01-18")
    inside = (table.timestamp >= day_start(date(2026, 1, 15))) & (table.timestamp < day_start(date(2026, 1, 18)))
    assert training["transactions"] == inside.sum()
    assert training["frauds"] == (table.label[inside] == 1).sum()
    assert made.manifest.parameters == made.challenger.measured.parameters
    assert made.manifest.features == feature_set(shop()).names


def test_recent_rows_and_their_scores_stand_side_by_side(table: TransactionTable) -> None:
    challenger = retrain(table, plan()).challenger
    rows = challenger.recent_rows
    assert len(rows) == len(challenger.recent.score)
    assert (challenger.recent.time == table.timestamp[rows]).all()
    assert (challenger.recent.label == table.label[rows]).all()
    assert (challenger.recent.amount == table.amount[rows] / 100).all()


def test_recent_scores_are_of_a_model_that_never_saw_the_rows(table: TransactionTable) -> None:
    challenger = retrain(table, plan()).challenger
    known = table.labels_known_by(plan().as_of)
    wanted = np.zeros(len(table), bool)
    wanted[challenger.recent_rows] = True
    refitted = score_matrix(challenger.scorer, offline_features(known, wanted))
    assert not np.array_equal(refitted, challenger.recent.score)


def test_calibration_makes_scores_sum_to_the_frauds() -> None:
    rng = np.random.default_rng(4)
    margins = rng.normal(-3, 2, 20_000)
    label = (rng.random(20_000) < 1 / (1 + np.exp(-(0.5 * margins - 1)))).astype(np.int8)
    calibration = calibrate(margins, label)
    assert sum(map(calibration.score, margins.tolist())) == pytest.approx(label.sum(), rel=1e-3)
    assert calibration.slope == pytest.approx(0.5, abs=0.05)


def test_the_simpler_candidate_is_chosen_when_the_difference_is_noise(table: TransactionTable) -> None:
    dataset = prepare(table, plan())
    simple = measure_candidate(quick("logistic"), dataset, plan())
    twin = replace(simple, candidate=quick("boosted_trees"))
    chosen, why = choose([simple, twin])
    assert chosen is simple
    lucky = replace(twin, metrics=replace(twin.metrics, average_precision=twin.metrics.average_precision + 1e-6))
    chosen, why = choose([simple, lucky])
    assert chosen is simple
    assert "logistic is simpler than boosted_trees" in why
    assert "within noise" in why


def test_how_entities_happen_to_be_numbered_changes_no_byte_of_a_version_and_no_decision(
    table: TransactionTable,
) -> None:
    """Whatever else lies in the files, a payment of tomorrow by somebody new say, numbers them otherwise."""

    def made(known: TransactionTable) -> tuple[dict[str, bytes], Decision]:
        version = retrain(known, plan(), ["logistic", "logistic_smote"])
        recent = version.challenger.recent
        rival = np.where(np.arange(len(recent.score)) % 3 == 0, recent.score.mean(), recent.score)
        return version.files, decide(recent, rival, {})

    users = table.entities[0]
    backwards = Codes((len(users.values) - 1 - users.codes).astype(np.int32), users.values[::-1])
    assert backwards.text() == users.text()
    assert made(replace(table, entities=(backwards,))) == made(table)


def test_a_candidate_that_is_better_beyond_noise_is_chosen_though_it_is_not_simple(table: TransactionTable) -> None:
    dataset = prepare(table, plan())
    simple = measure_candidate(quick("logistic"), dataset, plan())
    oracle = replace(simple.judged, score=np.where(simple.judged.label == 1, 0.9, 0.1))
    better = replace(
        simple,
        candidate=quick("boosted_trees"),
        judged=oracle,
        metrics=replace(simple.metrics, average_precision=1.0),
    )
    chosen, why = choose([simple, better])
    assert chosen is better
    assert "best average precision (1.0000)" in why


# Thresholds and figures, on scores whose answer is known


def judged(score: list[float], label: list[int], amount: list[float] | None = None, days: int = 1) -> Judged:
    count = len(score)
    return Judged(
        np.array(score),
        np.array(label, dtype=np.int8),
        np.array(amount or [10.0] * count),
        np.arange(count, dtype=np.int64) % days * DAY,
        np.arange(count, dtype=np.int32),
    )


def test_the_budget_is_spent_on_the_highest_scores() -> None:
    scores = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
    thresholds = choose_thresholds(judged(scores, [1, 0, 1, 0, 0, 0], days=2), Alerts(per_day=1))
    assert thresholds.budget == 0.8
    assert thresholds.chosen(Alerts()) == thresholds.budget


def test_equal_scores_do_not_break_the_budget() -> None:
    scores = [0.9, *[0.5] * 100]
    assert choose_thresholds(judged(scores, [1, *[0] * 100]), Alerts(per_day=2)).budget == 0.9


def test_where_more_transactions_than_the_budget_have_the_highest_score_they_are_the_alerts() -> None:
    assert choose_thresholds(judged([0.9, 0.9, 0.9, 0.1], [1, 0, 0, 0]), Alerts(per_day=2)).budget == 0.9


def test_unlabelled_transactions_count_as_alerts_and_in_no_other_figure() -> None:
    alone = judged([0.9, 0.8, 0.3, 0.1], [1, 0, 1, 0])
    beside = replace(alone, unlabelled=Scored(np.array([0.95, 0.85, 0.2]), np.zeros(3, np.int64)))
    assert choose_thresholds(beside, Alerts(per_day=2)).budget == 0.9
    assert choose_thresholds(beside, Alerts()).cost == choose_thresholds(alone, Alerts()).cost
    ours, theirs = (measure(scored, 0.5, Alerts()) for scored in (beside, alone))
    assert ours == replace(theirs, alerts_per_day=4.0, unlabelled=3)
    assert joined([beside, alone]).unlabelled.score.tolist() == [0.95, 0.85, 0.2]


def test_a_day_on_which_no_transaction_is_labelled_is_a_day_of_alerts_all_the_same() -> None:
    alone = judged([0.9, 0.8], [1, 0])
    beside = replace(alone, unlabelled=Scored(np.array([0.95]), np.array([DAY])))
    assert (alone.days, beside.days) == (1, 2)
    assert measure(beside, 0.85, Alerts()).alerts_per_day == 1.0


def test_a_score_of_the_threshold_itself_is_an_alert_labelled_or_not() -> None:
    beside = replace(judged([0.9, 0.1], [1, 0]), unlabelled=Scored(np.array([0.9]), np.zeros(1, np.int64)))
    metrics = measure(beside, 0.9, Alerts())
    assert (metrics.alerts_per_day, metrics.recall) == (2.0, 1.0)


def test_some_of_them_are_held_against_thresholds_as_all_are() -> None:
    served = replace(judged([0.9, 0.1, 0.3], [1, 0, 1]), served=np.array([0.4, 0.6, 0.2]))
    assert served.take(np.array([True, False, True])).held.tolist() == [0.4, 0.2]


def test_a_budget_above_all_transactions_alerts_on_all() -> None:
    assert choose_thresholds(judged([0.5, 0.2], [1, 0]), Alerts(per_day=100)).budget == 0.2


def test_the_cost_threshold_stops_where_reviews_cost_more_than_they_save() -> None:
    scores, labels, amounts = [0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0], [100.0, 5.0, 3.0, 50.0]
    assert choose_thresholds(judged(scores, labels, amounts), Alerts(rule="cost", review_cost=2.0)).cost == 0.9
    assert choose_thresholds(judged(scores, labels, amounts), Alerts(rule="cost", review_cost=1.0)).cost == 0.7


def test_where_no_review_pays_nothing_is_an_alert() -> None:
    thresholds = choose_thresholds(judged([0.9, 0.8], [1, 0], [1.0, 1.0]), Alerts(rule="cost", review_cost=5.0))
    assert thresholds.cost > 1.0


def test_equal_scores_are_on_one_side_of_the_cost_threshold() -> None:
    scores, labels, amounts = [0.9, 0.9, 0.9, 0.1], [1, 0, 0, 0], [10.0, 1.0, 1.0, 1.0]
    thresholds = choose_thresholds(judged(scores, labels, amounts), Alerts(rule="cost", review_cost=4.0))
    # One review would pay, but the three cannot be told apart and cost more than they save.
    assert thresholds.cost > 1.0


def test_figures_of_known_scores() -> None:
    metrics = measure(
        judged([0.9, 0.8, 0.3, 0.1], [1, 0, 1, 0], [100.0, 20.0, 40.0, 5.0]), 0.5, Alerts(review_cost=3.0)
    )
    assert (metrics.precision, metrics.recall, metrics.alerts_per_day) == (0.5, 0.5, 2.0)
    assert (metrics.caught_amount, metrics.missed_amount, metrics.cost_per_day) == (100.0, 40.0, 46.0)
    assert metrics.average_precision == pytest.approx((1 + 2 / 3) / 2)
    assert metrics.roc_auc == 0.75
    assert metrics.predicted_to_actual == pytest.approx(2.1 / 2)


def test_figures_are_told_by_the_whole_weeks_since_labels_became_known() -> None:
    scored = judged([0.9, 0.1, 0.2, 0.8, 0.7, 0.3], [1, 0, 1, 0, 0, 0])
    age = np.array([0, 6 * DAY, 7 * DAY, 13 * DAY, 21 * DAY, 22 * DAY])
    youngest, older = measure_by_label_age(scored, age, 0.5, Alerts())
    assert (youngest.weeks, youngest.metrics.average_precision, youngest.metrics.recall) == (0, 1.0, 1.0)
    assert (older.weeks, older.metrics.average_precision, older.metrics.recall) == (1, 0.5, 0.0)


def test_a_label_of_last_week_is_young_however_old_its_transaction_is(table: TransactionTable) -> None:
    tested = table.timestamp >= folds(prepare(table, plan()), plan())[-1].test_begin
    late = tested & (np.arange(len(table)) % 2 == 0)
    recent = replace(table, known_at=np.where(late, plan().as_of - DAY, table.known_at - 14 * DAY))
    measured = measure_candidate(quick("logistic"), prepare(recent, plan()), plan())
    assert [group.weeks for group in measured.by_label_age] == [0, 2]
    assert sum(group.metrics.transactions for group in measured.by_label_age) == len(measured.judged.label)


def test_a_threshold_is_told_on_a_span_that_it_was_not_chosen_on() -> None:
    earlier, newest = judged([0.9, 0.6, 0.3], [1, 0, 0]), judged([0.95, 0.7, 0.61, 0.5], [1, 0, 1, 1])
    ahead = measure_ahead([earlier, newest], Alerts(per_day=2))
    assert ahead == measure(newest, 0.6, Alerts(per_day=2))
    assert (ahead.alerts_per_day, ahead.recall) == (3.0, 2 / 3)
    assert measure_ahead([newest], Alerts()) is None


def test_card_precision_counts_compromised_entities_among_the_highest_of_each_day() -> None:
    two_days = Judged(
        np.array([0.9, 0.8, 0.7, 0.2, 0.6, 0.5]),
        np.array([1, 0, 0, 1, 0, 1], dtype=np.int8),
        np.full(6, 1.0),
        np.array([0, 0, 0, 0, DAY, DAY], dtype=np.int64),
        np.array([1, 2, 2, 3, 1, 1], dtype=np.int32),
    )
    assert card_precision(two_days, 2) == pytest.approx((1 / 2 + 1 / 2) / 2)


def test_average_precision_of_a_perfect_ranking_is_one() -> None:
    assert average_precision(np.array([0, 1, 1]), np.array([0.1, 0.8, 0.9])) == 1.0


def test_windows_reach_back_as_far_as_the_contract_says() -> None:
    current = Plan(load_contract("cards"), day_start(AS_OF))
    assert current.mature_until == day_start(AS_OF - timedelta(days=7))
    assert current.earliest == day_start(AS_OF - timedelta(days=7 + 21 + 7 + 7))


def test_a_candidate_that_ranks_the_wrong_way_round_is_never_chosen(table: TransactionTable) -> None:
    right = measure_candidate(quick("logistic"), prepare(table, plan()), plan())
    turned = replace(right, calibration=Calibration(slope=-1.0))
    chosen, _ = choose([turned, right])
    assert chosen is right
    with pytest.raises(NotReady, match="no candidate gives frauds higher scores"):
        choose([turned])
