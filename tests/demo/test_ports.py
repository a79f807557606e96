"""A port that is taken is said at once, in one sentence, before anything is written."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from fraudline.errors import BadInput
from fraudline.local.emulator import running_emulator
from fraudline.local.prefect_server import running_prefect_server


@pytest.mark.parametrize("start", [running_emulator, running_prefect_server])
def test_a_port_in_use_is_named(start: Callable[..., object], tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(BadInput, match=f"port {port} on 127.0.0.1 cannot be used .*stop what listens there"),
            start(tmp_path, port=port),
        ):
            pass
    assert list(tmp_path.iterdir()) == []
