"""Settings come from the environment, have working defaults, and say what is wrong with them."""

import pytest

from fraudline.errors import BadInput
from fraudline.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(f"FRAUDLINE_{field.upper()}", raising=False)


def test_without_an_environment_the_documented_names_are_used() -> None:
    settings = load_settings()
    assert settings.stream == "fraudline-transactions"
    assert settings.decisions_table == "fraudline-decisions"
    assert settings.buckets == (
        "fraudline-landing",
        "fraudline-quarantine",
        "fraudline-models",
        "fraudline-reports",
    )


def test_the_environment_names_resources_and_an_override_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAUDLINE_STREAM", "shop")
    monkeypatch.setenv("FRAUDLINE_LANDING_BUCKET", "")
    assert load_settings().stream == "shop"
    assert load_settings().landing_bucket == "fraudline-landing"
    assert load_settings(stream="other").stream == "other"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FRAUDLINE_STREAM", "a b"),
        ("FRAUDLINE_DECISIONS_TABLE", "x"),
        ("FRAUDLINE_MODELS_BUCKET", "Upper"),
        ("FRAUDLINE_MODELS_BUCKET", "../evil"),
        ("FRAUDLINE_ALERTS_TOPIC_ARN", "fraudline-alerts"),
    ],
)
def test_a_bad_value_is_one_sentence_that_names_the_variable(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(BadInput, match=f"setting {variable} is '{value}'"):
        load_settings()


def test_settings_go_through_the_environment_of_a_child_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(alerts_topic_arn="arn:aws:sns:us-east-1:000000000000:a", stream="shop")
    for name, value in settings.to_environment().items():
        monkeypatch.setenv(name, value)
    assert load_settings() == settings
