"""The one scorer for boosted trees: an ONNX graph that gives the margin, run by ONNX Runtime on one thread.

One intra-op thread: with two the sum over trees depends on the batch size in the last bit. Features are rounded to
float32, as they were in training, so that every threshold falls on the same side.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt
import onnxruntime

from fraudline.model.scoring import Calibration


class TreeModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="trees"):
    """`scorer.json` beside a `scorer.onnx`: what the graph does not hold."""

    calibration: Calibration
    # Each feature's median over the training rows: what an explanation puts in its place.
    usual: tuple[float, ...]


class TreeScorer:
    """Scores features with an ONNX tree ensemble. `contributions` replaces one feature at a time by its usual value."""

    def __init__(self, model: TreeModel, graph: bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.model = model
        self.graph = graph
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._output = self._session.get_outputs()[-1].name

    def __reduce__(self) -> tuple[type["TreeScorer"], tuple[TreeModel, bytes]]:
        """To another process go the model and the graph; sessions stay where they are."""
        return TreeScorer, (self.model, self.graph)

    def margins(self, rows: npt.ArrayLike) -> list[float]:
        # scikit-learn compares float32 values; the graph then sums in double precision.
        matrix = np.ascontiguousarray(np.asarray(rows, dtype=np.float32), dtype=np.float64)
        if not len(matrix):
            return []
        (output,) = self._session.run([self._output], {self._input: matrix})
        # One column for each class where the graph gives both: the last one is fraud's.
        return [float(margin) for margin in np.asarray(output).reshape(len(matrix), -1)[:, -1]]

    def score(self, features: Sequence[float]) -> float:
        return self.score_many([features])[0]

    def score_many(self, rows: Sequence[Sequence[float]]) -> list[float]:
        return [self.model.calibration.score(margin) for margin in self.margins(rows)]

    def contributions(self, features: Sequence[float]) -> list[float]:
        changed = np.tile(np.asarray(features, dtype=np.float32), (len(features) + 1, 1))
        for index, value in enumerate(self.model.usual):
            changed[index + 1, index] = value
        whole, *without = self.margins(changed)
        return [whole - margin for margin in without]


def read_trees(model: bytes, graph: bytes) -> TreeScorer:
    """A scorer from the bytes of `scorer.json` and `scorer.onnx`, already verified."""
    return TreeScorer(msgspec.json.decode(model, type=TreeModel), graph)
