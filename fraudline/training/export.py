"""From a fitted scikit-learn pipeline to the one scorer, and proof that both agree."""

import io
from typing import Any, Literal

import joblib
import msgspec
import numpy as np
import numpy.typing as npt
from sklearn.pipeline import Pipeline

from fraudline.errors import FraudlineError
from fraudline.features.definition import FeatureSet
from fraudline.model.bundle import GRAPH, PIPELINE, SCORER
from fraudline.model.matrix import BLOCK, margins
from fraudline.model.scoring import Calibration, LinearModel, LinearScorer, Scorer

Matrix = npt.NDArray[np.float64]
# How far scorer and pipeline may differ in the score: rounding of sums, and of float32 in trees.
TOLERANCE = {"linear": 1e-12, "trees": 1e-6}


def to_scorer(
    kind: Literal["linear", "trees"],
    pipeline: Pipeline,
    features: FeatureSet,
    calibration: Calibration,
    train: Matrix,
) -> Scorer:
    """The scorer of a stripped, fitted pipeline; `train` (rows, features) tells what is usual."""
    if kind == "linear":
        return LinearScorer(_linear(pipeline, features, calibration, train))
    # ONNX Runtime and the converter are only needed where trees are.
    from fraudline.model.trees import TreeModel, TreeScorer

    usual = tuple(np.median(train, axis=0).tolist())
    return TreeScorer(TreeModel(calibration, usual), _graph(pipeline, len(features.features)))


def _linear(pipeline: Pipeline, features: FeatureSet, calibration: Calibration, train: Matrix) -> LinearModel:
    scale, pieces, model = (pipeline.named_steps[name] for name in ("scale", "pieces", "model"))
    curves = pieces.curves(features.names, model.coef_[0], scale.mean_, scale.scale_)
    uncalibrated = LinearModel(float(model.intercept_[0]), curves, calibration, (0.0,) * len(curves))
    return msgspec.structs.replace(uncalibrated, usual=_mean_contributions(uncalibrated, train))


def _mean_contributions(model: LinearModel, train: Matrix) -> tuple[float, ...]:
    means = []
    for column, curve in enumerate(model.curves):
        piece = np.searchsorted(curve.knots, train[:, column], side="right")
        shares = np.array(curve.intercepts)[piece] + np.array(curve.slopes)[piece] * train[:, column]
        means.append(float(shares.mean()))
    return tuple(means)


def _graph(pipeline: Pipeline, width: int) -> bytes:
    """The trees as ONNX: input (rows, width) in double precision, output the margin of each class.

    Summed in single precision the margin would be off by 1e-5, in double by the rounding of the result.
    """
    from onnx import TensorProto
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import DoubleTensorType

    model = pipeline.named_steps["model"]
    graph = to_onnx(
        model,
        initial_types=[("features", DoubleTensorType([None, width]))],
        options={id(model): {"raw_scores": True, "zipmap": False}},
        target_opset={"": 18, "ai.onnx.ml": 3},
    )
    # The converter names its graph at random, orders domains as its process hashes texts, and takes a classifier's
    # output for double where ONNX defines float.
    graph.graph.name = "fraudline"
    domains = sorted(graph.opset_import, key=lambda opset: opset.domain)
    del graph.opset_import[:]
    graph.opset_import.extend(domains)
    for output in graph.graph.output:
        if output.type.tensor_type.elem_type == TensorProto.DOUBLE:
            output.type.tensor_type.elem_type = TensorProto.FLOAT
    return graph.SerializeToString(deterministic=True)  # type: ignore[no-any-return]


def margins_of(scorer: Scorer, matrix: Matrix) -> Matrix:
    """Uncalibrated margins (rows,) of a feature matrix, computed by the scorer itself."""
    if isinstance(scorer, LinearScorer):
        return margins(scorer, matrix)
    return np.array(scorer.margins(matrix))  # type: ignore[attr-defined]


def scorer_files(scorer: Scorer, pipeline: Pipeline) -> dict[str, bytes]:
    """`scorer.json`, for trees `scorer.onnx`, and `model.joblib`."""
    files = {SCORER: _pretty(scorer.model), PIPELINE: _pickled(pipeline)}  # type: ignore[attr-defined]
    if not isinstance(scorer, LinearScorer):
        files[GRAPH] = scorer.graph  # type: ignore[attr-defined]
    return files


def _pretty(model: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(model), indent=1) + b"\n"


def _pickled(pipeline: Pipeline) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(pipeline, buffer)
    return buffer.getvalue()


def check_agreement(kind: str, scorer: Scorer, pipeline: Pipeline, matrix: Matrix) -> float:
    """Largest difference between the scorer's and the pipeline's scores; raises beyond the tolerance."""
    calibration: Calibration = scorer.model.calibration  # type: ignore[attr-defined]
    # Block by block: the pipeline's pieces of all rows at once would be ten times the matrix.
    blocks = [matrix[begin : begin + BLOCK] for begin in range(0, len(matrix), BLOCK)]
    theirs = [calibration.score(margin) for block in blocks for margin in pipeline.decision_function(block).tolist()]
    ours = [calibration.score(margin) for margin in margins_of(scorer, matrix).tolist()]
    gap = float(np.max(np.abs(np.array(theirs) - np.array(ours)), initial=0.0))
    if gap > TOLERANCE[kind]:
        raise FraudlineError(
            f"the {kind} scorer differs from its pipeline by {gap:.3g} ({TOLERANCE[kind]:.0e} is allowed):"
            " nothing was published; report this with the input"
        )
    return gap
