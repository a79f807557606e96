"""Who promoted, rolled back or judged is kept even where the system has no name for them."""

import getpass
import os

import pytest

from fraudline.adapters.whoami import whoami


def test_somebody_is_called_by_the_login_name() -> None:
    assert whoami() == getpass.getuser()


def test_a_container_that_runs_as_a_user_without_a_name_can_promote_and_roll_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2_000_000_007)
    with pytest.raises((KeyError, OSError)):
        getpass.getuser()
    assert whoami() == "uid 2000000007"
