"""The function's settings."""

import pytest

from fraudline.errors import BadInput
from fraudline.realtime.config import config_from
from fraudline.settings import Settings


def test_resources_are_called_as_everywhere_else() -> None:
    ours, theirs = config_from({}), Settings()
    assert (ours.environment, ours.contract) == (theirs.environment, theirs.contract)
    assert ours.models_bucket == theirs.models_bucket
    assert (ours.profiles_table, ours.decisions_table) == (theirs.profiles_table, theirs.decisions_table)


def test_the_settings_of_a_deployment_are_taken_as_they_are() -> None:
    settings = Settings(
        models_bucket="m-b", profiles_table="p_t", decisions_table="d.t", contract="cards", environment="dev",
        decisions_keep_days=90,
    )  # fmt: skip
    config = config_from(settings.to_environment())
    assert (config.environment, config.contract, config.models_bucket) == ("dev", "cards", "m-b")
    assert (config.profiles_table, config.decisions_table, config.keep_days) == ("p_t", "d.t", 90)


def test_what_is_not_set_is_as_the_guide_says() -> None:
    config = config_from({})
    assert (config.model, config.records, config.keep_days, config.fallback) == (None, True, None, "open")
    assert (config.profile_deadline, config.record_budget) == (0.1, 0.05)
    other = {"FRAUDLINE_RECORD_DECISIONS": "false", "FRAUDLINE_WITHOUT_MODEL": "closed", "FRAUDLINE_MODEL": "champion"}
    assert (config_from(other).records, config_from(other).fallback) == (False, "closed")
    assert config_from(other).model == "champion"


def test_an_empty_variable_is_none() -> None:
    assert config_from({"FRAUDLINE_MODEL": "", "FRAUDLINE_PROFILE_DEADLINE_MS": ""}) == config_from({})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PROFILE_DEADLINE_MS", "0"),
        ("PROFILE_DEADLINE_MS", "1e3"),
        ("RECORD_DECISIONS", "yes"),
        ("WITHOUT_MODEL", "ajar"),
        ("PROFILES_TABLE", "a b"),
        ("MODEL", "../x"),
        ("CONTRACT", "mine.toml"),
        ("DECISIONS_KEEP_DAYS", "0"),
    ],
)
def test_a_malformed_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(BadInput, match=f"FRAUDLINE_{name}"):
        config_from({f"FRAUDLINE_{name}": value})
