"""Law 2: one scorer; one row and a million rows give the same bits, on plain numbers and on matrices."""

import math
import random

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudline.errors import FraudlineError
from fraudline.features.definition import feature_set
from fraudline.model.matrix import probabilities, score_columns, score_matrix
from fraudline.model.scoring import (
    HIGHEST_SCORE,
    LOWEST_SCORE,
    Calibration,
    Curve,
    LinearModel,
    LinearScorer,
    read_linear,
)
from fraudline.model.trees import read_trees
from fraudline.training.export import TOLERANCE, check_agreement, margins_of, scorer_files
from tests.unit.fitted import SMALL, Fitted, fitted

NAMES = tuple(SMALL)
# Features and knots stay below 2**53: integers of history divided by each other.
values = st.floats(-(2.0**53), 2.0**53)


@pytest.fixture(params=NAMES)
def model(request: pytest.FixtureRequest) -> Fitted:
    return fitted(request.param)


def bits(scores: object) -> bytes:
    return np.asarray(scores, dtype=np.float64).tobytes()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
def test_the_size_of_a_batch_changes_no_bit_of_a_score(model: Fitted, size: int) -> None:
    matrix = model.features[:2000]
    whole = score_matrix(model.scorer, matrix)
    rows = matrix.tolist()
    batches = [rows[begin : begin + size] for begin in range(0, len(rows), size)]
    assert bits([score for batch in batches for score in model.scorer.score_many(batch)]) == bits(whole)


def test_one_row_scores_as_it_does_among_others(model: Fitted) -> None:
    rows = model.features[:300].tolist()
    assert bits([model.scorer.score(row) for row in rows]) == bits(score_matrix(model.scorer, model.features[:300]))


def test_the_layout_of_a_matrix_changes_no_bit(model: Fitted) -> None:
    rows = np.ascontiguousarray(model.features[:200])
    columns = np.asfortranarray(rows)
    strided = np.repeat(rows, 2, axis=0)[::2]
    assert bits(score_matrix(model.scorer, rows)) == bits(score_matrix(model.scorer, columns))
    assert bits(score_matrix(model.scorer, rows)) == bits(score_matrix(model.scorer, strided))


def test_columns_score_as_their_rows_do(model: Fitted) -> None:
    columns = [np.ascontiguousarray(column) for column in model.features[:300].T]
    assert bits(score_columns(model.scorer, columns)) == bits(score_matrix(model.scorer, model.features[:300]))


def test_no_rows_have_no_scores(model: Fitted) -> None:
    assert model.scorer.score_many([]) == []
    assert len(score_matrix(model.scorer, model.features[:0])) == 0


def test_values_far_outside_of_training_score_alike_on_every_path(model: Fitted) -> None:
    choose = random.Random(2)
    extremes = (0.0, -0.0, -1.0, 1e-300, 1e9, -1e9, 1e12, 2.0**53, float(np.nextafter(1.0, 2.0)))
    rows = [[choose.choice(extremes) for _ in range(model.features.shape[1])] for _ in range(60)]
    assert bits([model.scorer.score(row) for row in rows]) == bits(score_matrix(model.scorer, np.array(rows)))


def test_values_on_a_threshold_fall_on_the_same_side_on_every_path(model: Fitted) -> None:
    # Every training value is a possible split or knot; neighbours in the last bit are the other side of it.
    sample = model.features[::97]
    beside = np.nextafter(sample, np.inf)
    for matrix in (sample, beside, np.nextafter(sample, -np.inf)):
        assert bits([model.scorer.score(row) for row in matrix.tolist()]) == bits(score_matrix(model.scorer, matrix))


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=40), st.floats(1e-3, 1e3), st.floats(-50.0, 50.0))
def test_many_margins_have_the_probability_of_each(margins: list[float], slope: float, offset: float) -> None:
    calibration = Calibration(slope, offset)
    with np.errstate(over="ignore"):
        many = probabilities(calibration, np.array(margins))
    assert bits([calibration.score(margin) for margin in margins]) == bits(many)


def test_the_scorer_agrees_with_the_pipeline_that_was_fitted(model: Fitted) -> None:
    gap = check_agreement(model.candidate.kind, model.scorer, model.pipeline, model.features)
    assert gap <= TOLERANCE[model.candidate.kind]


def test_a_scorer_that_differs_from_its_pipeline_is_not_published(model: Fitted) -> None:
    other = fitted("logistic" if model.candidate.name != "logistic" else "logistic_smote")
    with pytest.raises(FraudlineError, match=r"differs from its pipeline by .* nothing was published"):
        check_agreement(model.candidate.kind, model.scorer, other.pipeline, model.features)


def test_scores_rank_frauds_above_honest_transactions(model: Fitted) -> None:
    scores = score_matrix(model.scorer, model.features)
    assert scores[model.label == 1].mean() > 5 * scores[model.label == 0].mean()
    assert ((scores >= LOWEST_SCORE) & (scores <= HIGHEST_SCORE)).all()


def test_a_scorer_survives_its_files_bit_for_bit(model: Fitted) -> None:
    files = scorer_files(model.scorer, model.pipeline)
    read = (
        read_linear(files["scorer.json"])
        if model.candidate.kind == "linear"
        else read_trees(files["scorer.json"], files["scorer.onnx"])
    )
    matrix = model.features[:500]
    assert bits(score_matrix(read, matrix)) == bits(score_matrix(model.scorer, matrix))
    assert scorer_files(read, model.pipeline)["scorer.json"] == files["scorer.json"]


def test_the_graph_of_trees_names_its_domains_in_one_order_however_a_process_hashes_texts() -> None:
    """The converter takes them from a set, whose order changes from process to process."""
    graph = onnx.load_model_from_string(fitted("boosted_trees").scorer.graph)  # type: ignore[attr-defined]
    assert [opset.domain for opset in graph.opset_import] == ["", "ai.onnx.ml"]


def test_contributions_of_a_linear_model_add_up_to_its_margin() -> None:
    model = fitted("logistic")
    assert isinstance(model.scorer, LinearScorer)
    usual = model.scorer.model.intercept + math.fsum(model.scorer.model.usual)
    for row in model.features[:200].tolist():
        shares = model.scorer.contributions(row)
        assert usual + math.fsum(shares) == pytest.approx(model.scorer.margin(row), abs=1e-9)


def test_contributions_of_trees_are_what_the_usual_value_would_change() -> None:
    model = fitted("boosted_trees")
    row = model.features[int(np.argmax(score_matrix(model.scorer, model.features)))].tolist()
    shares = model.scorer.contributions(row)
    usual = model.scorer.model.usual  # type: ignore[attr-defined]
    whole = margins_of(model.scorer, np.array([row]))[0]
    for index in range(0, len(row), 7):
        replaced = [*row[:index], usual[index], *row[index + 1 :]]
        assert shares[index] == whole - margins_of(model.scorer, np.array([replaced]))[0]
    assert max(shares) > 0


def test_the_sampler_and_its_training_rows_stay_out_of_the_published_pipeline() -> None:
    for name in NAMES:
        steps = dict(fitted(name).pipeline.steps)
        assert not {"smote", "sample"} & set(steps)
        assert not any(hasattr(step, "fit_resample") for step in steps.values())


# The linear form by itself


@st.composite
def linear_models(draw: st.DrawFn) -> LinearModel:
    small = st.floats(-50, 50)
    curves = []
    for index in range(draw(st.integers(1, 5))):
        knots = sorted(draw(st.lists(values, max_size=5)))
        pieces = len(knots) + 1
        parts = st.lists(small, min_size=pieces, max_size=pieces)
        curves.append(Curve(f"f{index}", tuple(knots), tuple(draw(parts)), tuple(draw(parts))))
    return LinearModel(draw(small), tuple(curves), Calibration(draw(st.floats(0.01, 10)), draw(small)), ())


@settings(deadline=None)
@given(data=st.data(), model=linear_models())
def test_any_linear_model_scores_rows_and_matrices_alike(data: st.DataObject, model: LinearModel) -> None:
    scorer, width = LinearScorer(model), len(model.curves)
    knots = [knot for curve in model.curves for knot in curve.knots]
    value = values | (st.sampled_from(knots) if knots else st.just(0.0))
    rows = data.draw(st.lists(st.lists(value, min_size=width, max_size=width), max_size=8))
    matrix = np.array(rows, dtype=np.float64).reshape(len(rows), width)
    assert bits(scorer.score_many(rows)) == bits(score_matrix(scorer, matrix))


@given(margin=st.floats(allow_nan=False), slope=st.floats(0.01, 100), offset=st.floats(-100, 100))
def test_a_score_is_a_probability_that_a_number_column_can_keep(margin: float, slope: float, offset: float) -> None:
    score = Calibration(slope, offset).score(margin)
    assert LOWEST_SCORE <= score <= HIGHEST_SCORE
    assert float(repr(score)) == score


@given(one=st.floats(-1000, 1000), other=st.floats(-1000, 1000))
def test_calibration_never_turns_a_rank_around(one: float, other: float) -> None:
    calibration = Calibration(0.7, -3.0)
    low, high = sorted((one, other))
    assert calibration.score(low) <= calibration.score(high)


def test_outside_of_its_knots_a_fitted_curve_is_flat() -> None:
    model = fitted("logistic")
    assert isinstance(model.scorer, LinearScorer)
    for curve in model.scorer.model.curves:
        assert (curve.slopes[0], curve.slopes[-1]) == (0.0, 0.0)
        assert list(curve.knots) == sorted(curve.knots)
        assert len(curve.knots) + 1 == len(curve.intercepts) == len(curve.slopes)


def test_a_fitted_curve_has_no_steps() -> None:
    model = fitted("logistic")
    assert isinstance(model.scorer, LinearScorer)
    for curve in model.scorer.model.curves:
        for index, knot in enumerate(curve.knots):
            left = curve.intercepts[index] + curve.slopes[index] * knot
            right = curve.intercepts[index + 1] + curve.slopes[index + 1] * knot
            assert left == pytest.approx(right, abs=1e-6), (curve.feature, index)


def test_there_is_one_curve_for_each_feature_in_their_order() -> None:
    model = fitted("logistic")
    assert isinstance(model.scorer, LinearScorer)
    assert tuple(curve.feature for curve in model.scorer.model.curves) == feature_set(model.contract).names
