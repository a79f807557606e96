"""Replays of what is in the decisions table, by the versions in a registry."""

import re

from fraudline.adapters.aws.backoff import Deadline
from fraudline.adapters.registry import Registry
from fraudline.adapters.tables.decisions import Decisions
from fraudline.backfill.decisions import NAME
from fraudline.decision import REALTIME, STREAM, Decision
from fraudline.errors import BadInput, NotReady, Tampered
from fraudline.model.bundle import load_bundle
from fraudline.model.replaying import Replayed, replay
from fraudline.transactions.validation import identifier_problem

_ORIGIN = re.compile(rf"stream|realtime|backfill#{NAME}")


def replay_recorded(
    decisions: Decisions, registry: Registry, transaction_id: str, origin: str, deadline: Deadline
) -> Replayed:
    """The decision that one path recorded on a transaction, made again.

    `BadInput` if there is none, `NotReady` if its version is no longer published, `Tampered` if the row or the version
    is not what was written.
    """
    if problem := identifier_problem(transaction_id):
        raise BadInput(f"{transaction_id[:200]!r} is no transaction id, it {problem}: check it")
    if not _ORIGIN.fullmatch(origin):
        raise BadInput(f"{origin[:200]!r} is no origin: use stream, realtime or backfill#NAME")
    decision = _recorded(decisions, transaction_id, origin, deadline)
    if decision is None:
        others = [o for o in (STREAM, REALTIME) if o != origin and _recorded(decisions, transaction_id, o, deadline)]
        hint = f"there is one of {' and '.join(others)}" if others else "check the id"
        raise BadInput(f"no {origin} decision on transaction {transaction_id!r}: {hint}")
    version = decision.model_version
    if version not in registry.versions():
        raise NotReady(
            f"version {version}, which decided on {transaction_id!r}, is no longer in {registry.location}:"
            " restore its folder, or name the registry that has it with --models"
        )
    return replay(decision, load_bundle(registry.read(version).__getitem__, version))


def _recorded(decisions: Decisions, transaction_id: str, origin: str, deadline: Deadline) -> Decision | None:
    try:
        return decisions.read([transaction_id], deadline, origin).get(transaction_id)
    except (KeyError, TypeError, ValueError) as error:
        raise Tampered(
            f"the {origin} decision on {transaction_id!r} is not as it was written ({type(error).__name__} {error}):"
            " find out who changed the row"
        ) from error
