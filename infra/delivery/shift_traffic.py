"""Move the Lambda's alias to a new version in two steps, and back by itself if an alarm fires.

    python infra/delivery/shift_traffic.py --realtime FILE.json

The file holds Terraform's output `realtime`. First a tenth of the calls goes to the new version, then all of
them; after each step the alarms are watched. Whatever ends this program early (an alarm, a failed call, a
cancelled job) leaves the alias as it was.
"""

import argparse
import json
import logging
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

log = logging.getLogger("shift_traffic")

SHARE = 0.1  # of the calls, in the first step
WATCH_SECONDS = 300.0  # after each step: longer than the slowest alarm needs to fire (5 periods of a minute)
POLL_SECONDS = 15.0


class RolledBack(Exception):
    """The new version was taken back; the message says why."""


@dataclass(frozen=True)
class Shift:
    """The wish: `function`'s `alias` on `version`, unless one of the CloudWatch `alarms` fires."""

    function: str
    alias: str
    version: str
    alarms: Sequence[str]


def shift_of(realtime: Mapping[str, Any]) -> Shift:
    """The shift to the newest published version, from Terraform's output `realtime`."""
    return Shift(realtime["function_name"], realtime["alias"], realtime["version"], tuple(realtime["canary_alarms"]))


@dataclass(frozen=True)
class Clients:
    """boto3 clients of Lambda and CloudWatch, and the clock's `sleep`."""

    functions: Any
    alarms: Any
    sleep: Callable[[float], None] = time.sleep


def shift_traffic(shift: Shift, clients: Clients) -> str:
    """Carry the shift out and return the version that answered before; `RolledBack` if an alarm fired.

    An alarm that fires before the first step says nothing about the new version, and may be what it repairs:
    it is named and not watched.
    """
    alias = Alias(shift, clients.functions)
    if alias.previous == shift.version:
        return alias.previous
    watched = _quiet(shift, clients)
    try:
        alias.send(share=SHARE)
        _watch(watched, clients)
        alias.send_all()
        _watch(watched, clients)
    except BaseException:
        alias.restore()
        raise
    return alias.previous


class Alias:
    """The alias, as it was found. Changes name the revision they change, so two deliveries cannot mix."""

    def __init__(self, shift: Shift, functions: Any) -> None:
        self._functions = functions
        self._name = {"FunctionName": shift.function, "Name": shift.alias}
        self._new = shift.version
        found = functions.get_alias(**self._name)
        self.previous: str = found["FunctionVersion"]
        self._revision: str = found["RevisionId"]

    def send(self, share: float) -> None:
        """Send this share of the calls to the new version."""
        self._change(self.previous, {self._new: share}, RevisionId=self._revision)

    def send_all(self) -> None:
        self._change(self._new, {}, RevisionId=self._revision)

    def restore(self) -> None:
        """Send everything to the previous version, whoever changed the alias meanwhile."""
        self._change(self.previous, {})

    def _change(self, version: str, weights: dict[str, float], **condition: str) -> None:
        routing = {"AdditionalVersionWeights": weights}
        changed = self._functions.update_alias(
            **self._name, FunctionVersion=version, RoutingConfig=routing, **condition
        )
        self._revision = changed["RevisionId"]


def _quiet(shift: Shift, clients: Clients) -> list[str]:
    firing = _firing(shift.alarms, clients)
    for name in firing:
        log.warning("%s fires already: it cannot judge version %s and is not watched", name, shift.version)
    return [name for name in shift.alarms if name not in firing]


def _watch(alarms: Sequence[str], clients: Clients) -> None:
    for _ in range(round(WATCH_SECONDS / POLL_SECONDS)):
        clients.sleep(POLL_SECONDS)
        if firing := _firing(alarms, clients):
            raise RolledBack(f"rolled back, because {' and '.join(firing)} fired")


def _firing(alarms: Sequence[str], clients: Clients) -> list[str]:
    if not alarms:  # without names CloudWatch would answer with all alarms of the account
        return []
    found = clients.alarms.describe_alarms(AlarmNames=list(alarms), AlarmTypes=["MetricAlarm"])["MetricAlarms"]
    if missing := set(alarms) - {alarm["AlarmName"] for alarm in found}:
        raise LookupError(f"there is no alarm named {', '.join(sorted(missing))}: nothing would guard this version")
    return [alarm["AlarmName"] for alarm in found if alarm["StateValue"] == "ALARM"]


def main(arguments: Sequence[str] | None = None) -> int:
    import boto3

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--realtime", required=True, type=Path, help="Terraform's output `realtime` as JSON")
    shift = shift_of(json.loads(parser.parse_args(arguments).realtime.read_text()))
    # A cancelled job gets SIGTERM: as an exception it passes through the roll-back.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("cancelled"))
    try:
        previous = shift_traffic(shift, Clients(boto3.client("lambda"), boto3.client("cloudwatch")))
    except (RolledBack, LookupError) as stop:
        log.error(stop)
        return 1
    answers = f"{shift.function}:{shift.alias} answers with version"
    log.info("%s %s (before: %s)", answers, shift.version, previous)
    return 0


if __name__ == "__main__":
    sys.exit(main())
