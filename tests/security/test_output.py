"""What strangers wrote (ids, cells, file names) is shown as text: to a terminal, in a log, on a page, in Markdown."""

import html
import io
import logging
import re
import subprocess
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from rich.console import Console

from fraudline.adapters.inputs.files import read_transactions
from fraudline.adapters.inputs.quarantine import BatchQuarantine
from fraudline.adapters.quality_report import run_quality
from fraudline.adapters.storage.objects import FolderObjects
from fraudline.cli import app as frame
from fraudline.cli import common
from fraudline.contract import Contract, contract_from, load_contract
from fraudline.errors import BadInput
from fraudline.printable import markdown_code, markdown_text, printable
from fraudline.quality.outcome import ExpectationOutcome, QualityResult
from fraudline.transactions.cells import cells_in
from fraudline.transactions.columns import screen as screened
from fraudline.transactions.table import TransactionTable
from tasks import progress
from tasks.quality import markdown
from tests.docs.reading import ROOT
from tests.unit import retrained

SHOP = load_contract("ecommerce")
SCRIPT = "<script>alert(1)</script>"
TERMINAL = "U1\x1b[2J\x1b]0;owned\x07\r\nfraudline: all is well\u202e\x9b1m"
# Rich's own markup: a link, and a closing tag of nothing, which used to end the command.
MARKUP = "[link=http://example.com]U1[/link] [/x] :smile:"


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a person's terminal gets."""
    written = io.StringIO()
    terminal = Console(file=written, width=400, markup=common.out._markup, emoji=common.out._emoji)
    monkeypatch.setattr(common, "out", terminal)
    return written


@pytest.mark.parametrize("text", [TERMINAL, MARKUP])
def test_tables_show_ids_letter_by_letter(text: str, screen: io.StringIO) -> None:
    common.print_rows(text, [{"transaction": text}])
    common.print_pairs(text, {"transaction": text})
    shown = screen.getvalue()
    assert shown.count(printable(text)) == 4
    assert "\x1b" not in shown
    assert "\x9b" not in shown


def test_the_consoles_of_the_command_line_take_no_text_for_markup() -> None:
    for console in (common.out, common.err):
        assert (console._markup, console._emoji) == (False, False)


def test_an_error_that_names_a_file_sends_no_commands_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        frame._fail(f"{TERMINAL} cannot be read", 2, debug=False)
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert told.rstrip("\n").isprintable()


def test_a_line_of_a_log_stays_one_line(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(progress, "in_flow_run", lambda: True)
    monkeypatch.setattr(progress, "get_run_logger", lambda: logging.getLogger("run"))
    with caplog.at_level(logging.INFO, "run"):
        progress.say(f"{TERMINAL}: 3 rows")
    (message,) = caplog.messages
    assert message.isprintable()


def test_a_file_whose_name_commands_a_terminal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a\x1b[2J.csv").write_text("x\n1\n")
    with pytest.raises(BadInput, match=r"a\\x1b\[2J\.csv' has a character in its name that cannot be printed"):
        read_transactions(SHOP, [str(tmp_path)])


def test_no_html_of_a_cell_a_column_or_a_file_reaches_the_quality_page(tmp_path: Path) -> None:
    hostile = f'"{SCRIPT}"'
    columns = [*SHOP.required_columns, SHOP.label.column]
    good = "T{n},U1,2026-01-05T10:00:00Z,1.50,mobile,{place},0,debit,0"
    rows = [good.format(n=n, place=hostile) for n in range(3)]
    rows += [f"T9,U1,{hostile},x{hostile},{hostile},Rome,{hostile},{hostile},{hostile}", hostile]
    (tmp_path / "<img src=x onerror=alert(1)>.csv").write_text("\n".join([",".join(columns), *rows]))
    values = SHOP.to_json()
    contract = contract_from({**values, "description": SCRIPT}, "poisoned.toml")
    out = FolderObjects(tmp_path / "out")
    run_quality(contract, read_transactions(contract, [str(tmp_path)]), out)
    page = out.get("report.html").decode()
    assert "&lt;img src=x onerror=alert(1)&gt;.csv" in page
    assert "<script" not in page
    assert "<img" not in page


def test_no_page_has_a_way_around_its_escaping() -> None:
    templates = list((ROOT / "fraudline" / "quality" / "templates").glob("*.j2"))
    assert templates
    for template in templates:
        text = template.read_text()
        assert not re.search(r"\|\s*safe\b", text), template
        assert "autoescape" not in text, template
        assert "Markup(" not in text, template


def test_no_html_or_link_reaches_the_markdown_of_a_run() -> None:
    text = f"{SCRIPT} [a](javascript:alert(1)) ![b](http://example.com) `c` | d\n# e"
    outcome = ExpectationOutcome(text, "location", "critical", False, text, text)
    result = QualityResult("ecommerce", "landed", 1, 1, 0, 0, {text: 1}, {}, (outcome,))
    shown = markdown(result, text)
    failed = shown[shown.index("### What failed") : shown.index("### Quarantined")]
    assert not set("<>[]`|") & set(failed)
    assert "\n# e" not in shown
    for line in shown[shown.index("### Quarantined") :].splitlines()[1:]:
        assert line.count("`") in (0, 2), line


def test_texts_come_back_from_markdown_as_they_were() -> None:
    assert html.unescape(markdown_text(SCRIPT + MARKUP)) == SCRIPT + MARKUP
    assert markdown_code("user_count_30d") == "`user_count_30d`"


def test_a_contracts_description_is_text_in_the_model_card() -> None:
    values = retrained.shop().to_json()
    contract = contract_from({**values, "description": f"{SCRIPT} [a](javascript:alert(1))"}, "poisoned.toml")
    made = retrained.retrain(_table(contract), retrained.plan(contract))
    card = made.files["model_card.md"].decode()
    assert "alert(1)" in card
    assert "<script" not in card
    assert "](javascript" not in card


def _table(contract: Contract) -> TransactionTable:
    return screened(contract, pa.Table.from_pandas(retrained.frame(), preserve_index=False), "test").table.sorted()


@pytest.mark.parametrize("raw", ["[" * 60_000, '{"a":' * 12_000, "9" * 60_000])
def test_a_refused_line_of_brackets_in_brackets_is_reported_like_any_other(raw: str, tmp_path: Path) -> None:
    cells_in(raw, "")
    (tmp_path / "t.jsonl").write_text(raw + "\n")
    landed = read_transactions(SHOP, [str(tmp_path / "t.jsonl")])
    assert len(landed.rejects) == 1
    out = FolderObjects(tmp_path / "out")
    run_quality(SHOP, landed, out)
    (key,) = BatchQuarantine(out).keys()
    assert BatchQuarantine(out).redrive(key, SHOP).refused == Counter({landed.rejects[0].reason: 1})


def test_nothing_that_strangers_wrote_is_exported_as_csv() -> None:
    """A spreadsheet runs `=...` in a cell. Only simulated rows, and files that were CSV before, are written as CSV."""
    allowed = {"fraudline/cli/simulate.py", "fraudline/demo/data.py", "fraudline/erasure/people.py"}
    allowed |= {"fraudline/erasure/files.py", "fraudline/local/stack.py"}
    found = subprocess.run(
        ["grep", "-rlE", r"to_csv|csv\.writer|write_csv|DictWriter", "--include=*.py", "fraudline", "tasks", "flows"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert set(found.stdout.split()) == allowed
