"""Figures for CloudWatch, as lines of the log."""

import json

import pytest

from tasks.metrics import emit


def test_a_metric_is_one_line_in_the_embedded_metric_format(capsys: pytest.CaptureFixture[str]) -> None:
    emit("ecommerce", "ChampionAgeDays", 3.5)
    (line,) = capsys.readouterr().out.splitlines()
    values = json.loads(line)
    (about,) = values["_aws"]["CloudWatchMetrics"]
    assert about == {"Namespace": "Fraudline", "Dimensions": [["Contract"]], "Metrics": [{"Name": "ChampionAgeDays"}]}
    assert (values["Contract"], values["ChampionAgeDays"]) == ("ecommerce", 3.5)
