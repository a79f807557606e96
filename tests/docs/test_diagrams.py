"""The diagrams in the documents are drawn, by the same program as GitHub's, in a browser without a network."""

import html
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.reading import blocks, documents
from tests.ui.chromium import Page, offline_page, program

MERMAID = "mermaid@11.12.0"
DIAGRAMS = [block for document in documents() for block in blocks(document) if block.kind == "mermaid"]
DRAW = "mermaid.initialize({startOnLoad: false}); mermaid.run().then(() => done = 'drawn', e => done = 'failed: ' + e)"


@pytest.fixture(scope="module")
def mermaid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("npm") is None:
        pytest.skip("NO DIAGRAMS ARE DRAWN HERE: Node is not installed")
    folder = tmp_path_factory.mktemp("mermaid")
    command = ["npm", "install", "--no-save", "--silent", "--prefix", str(folder), MERMAID]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip(f"NO DIAGRAMS ARE DRAWN HERE: {MERMAID} cannot be installed")
    return folder / "node_modules" / "mermaid" / "dist" / "mermaid.min.js"


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    browser = program()
    if browser is None:
        pytest.skip("NO DIAGRAMS ARE DRAWN HERE: Chromium is not installed")
    with offline_page(browser) as opened:
        yield opened


@pytest.mark.parametrize("number", range(len(DIAGRAMS)), ids=[f"{b.document} {n}" for n, b in enumerate(DIAGRAMS)])
def test_a_diagram_is_drawn_with_all_its_words(number: int, page: Page, mermaid: Path, tmp_path: Path) -> None:
    text = DIAGRAMS[number].text
    (tmp_path / "page.html").write_text(
        f"<body><pre class='mermaid'>{html.escape(text)}</pre><script src='{mermaid.as_uri()}'></script>"
        f"<script>let done = ''; {DRAW}</script></body>"
    )
    page.open(tmp_path / "page.html", "light", 1100)
    end = time.monotonic() + 60
    while not (done := page.evaluate("done")) and time.monotonic() < end:
        time.sleep(0.2)
    assert done == "drawn", text
    (tmp_path / "page.png").write_bytes(page.screenshot())
    assert page.evaluate("document.querySelectorAll('svg .error-icon').length") == 0
    assert page.evaluate("document.querySelector('svg').getBoundingClientRect().width") > 200
