"""Figures for CloudWatch, as lines of the log."""

import json

import pytest

from tasks.metrics import emit


def test_a_metric_is_one_line_in_the_embedded_metric_format(capsys: pytest.CaptureFixture[str]) -> None:
    emit({"Environment": "prod", "Contract": "ecommerce"}, "ChampionAgeDays", 3.5)
    (line,) = capsys.readouterr().out.splitlines()
    values = json.loads(line)
    (about,) = values["_aws"]["CloudWatchMetrics"]
    assert (about["Namespace"], about["Metrics"]) == ("Fraudline", [{"Name": "ChampionAgeDays"}])
    assert about["Dimensions"] == [["Environment", "Contract"]]
    assert (values["Environment"], values["Contract"], values["ChampionAgeDays"]) == ("prod", "ecommerce", 3.5)
