"""Exact replay: a recorded decision made again, from the features recorded with it, by the version that made it."""

from dataclasses import dataclass

import msgspec

from fraudline.decision import Decision, unpack
from fraudline.errors import Tampered
from fraudline.model.bundle import Bundle
from fraudline.model.judging import judge

_BYTES_OF_A_FEATURE = 8


@dataclass(frozen=True)
class Replayed:
    """A decision as it is recorded and as its version makes it again."""

    stored: Decision
    recomputed: Decision

    @property
    def differing(self) -> tuple[str, ...]:
        """The fields that differ, in the decision's order; floats by their bits, for none of them is NaN in a row."""
        names = Decision.__struct_fields__
        return tuple(name for name in names if getattr(self.stored, name) != getattr(self.recomputed, name))


def replay(decision: Decision, bundle: Bundle) -> Replayed:
    """What `bundle`, the version that the decision names, decides on its features; `Tampered` if they are not its."""
    expected = len(bundle.features.names)
    if len(decision.features) != expected * _BYTES_OF_A_FEATURE:
        raise Tampered(
            f"the {decision.origin} decision on {decision.transaction_id!r} holds {len(decision.features)} bytes of"
            f" features, version {bundle.version} takes {expected} of {_BYTES_OF_A_FEATURE} bytes each:"
            " find out who changed the row"
        )
    features = unpack(decision.features)
    judgement = judge(bundle, features, bundle.scorer.score(features))
    made = msgspec.structs.replace(
        decision, threshold=bundle.threshold, model_version=bundle.version, **judgement._asdict()
    )
    return Replayed(decision, made)
