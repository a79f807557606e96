"""How old the champion is: since it was last made one, whatever was decided about others meanwhile."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fraudline.adapters.registry import open_registry
from fraudline.contract import load_contract
from fraudline.settings import Settings
from tasks.monitoring import tell_age

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


def day(number: float) -> datetime:
    return BEGIN + timedelta(days=number)


def test_it_counts_from_the_newest_promotion_or_rollback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    contract, settings = load_contract("ecommerce"), Settings(environment="prod")
    registry = open_registry(str(tmp_path), "ecommerce")

    def age(now: datetime) -> float:
        days = tell_age(str(tmp_path), settings, contract, now)
        told = json.loads(capsys.readouterr().out)
        assert (told["Environment"], told["Contract"], told["ChampionAgeDays"]) == ("prod", "ecommerce", days)
        return days

    assert age(day(5)) == 0
    for version in ("v1", "v2", "v3"):
        registry.publish(version, {"manifest.json": b"{}"})
    registry.promote("v1", "first", {}, "ann", day(0))
    assert age(day(5)) == 5
    registry.promote("v2", "better", {}, "ann", day(6))
    registry.append("shadow", "v3", "other features", {}, "ann", day(8))
    registry.append("reject", "v3", "worse", {}, "ann", day(9))
    assert age(day(10.5)) == 4.5
    registry.rollback("it pages", "bob", day(12))
    assert age(day(13)) == 1
    assert age(day(11)) == 0
