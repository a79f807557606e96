"""SECURITY.md names for each attack a test that is there, and every test of this folder."""

import re

from tests.docs.reading import ROOT, text_of


def test_every_attack_has_a_defence_and_a_test_that_is_there() -> None:
    section = text_of("SECURITY.md").partition("## Attacks")[2]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")][2:]
    assert len(rows) > 15
    for attack, defence, tests in rows:
        assert defence.strip(), attack
        named = re.findall(r"`(tests/[\w/]+\.py)`", tests)
        assert named, attack
        assert [name for name in named if not (ROOT / name).exists()] == []
    told = {path.name for path in (ROOT / "tests" / "security").glob("test_*.py")} - {"test_table.py"}
    assert {name for name in told if f"tests/security/{name}" not in section} == set()
