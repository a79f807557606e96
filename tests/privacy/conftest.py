"""A key, and a deployment with one user in every store."""

from pathlib import Path

import pytest

from fraudline.settings import Settings
from tests.privacy.shop import KEY, Shop, open_shop


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process knows erased people."""
    monkeypatch.setenv("FRAUDLINE_ERASURE_KEY", KEY)


@pytest.fixture
def shop(resources: Settings, key: None, tmp_path: Path) -> Shop:
    """Every store of the deployment tells of one user; old versions of objects, too."""
    return open_shop(resources, tmp_path / "backfill")
