"""The report pages as a person opens them: in a browser without a network, light, dark, narrow and printed.

Screenshots are kept below `out/screenshots` (or where FRAUDLINE_SCREENSHOTS says).
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from expectations import load_suite
from fraudline.adapters.inputs.files import load_transactions
from fraudline.contract import load_contract
from fraudline.features.definition import feature_set
from fraudline.features.offline import offline_features
from fraudline.quality.check import check
from fraudline.quality.drift import alert_drift, compare
from fraudline.quality.histograms import reference
from fraudline.quality.monitor_report import render_monitor
from fraudline.quality.monitoring import LiveSkew, Monitored
from fraudline.quality.report import render_report
from fraudline.quality.skew import Difference, Skew
from fraudline.quality.summary import summarise
from fraudline.simulate import Population, simulate, soil, weave
from tests.ui.chromium import Page, offline_page, program

SCREENSHOTS = Path(os.environ.get("FRAUDLINE_SCREENSHOTS", "out/screenshots"))


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    browser = program()
    if browser is None:
        pytest.skip("NO BROWSER TESTS RUN HERE: there is no Chromium; install the package chromium")
    with offline_page(browser) as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A failed quality report with everything on it, and a monitor page with drift and skew."""
    folder, contract = tmp_path_factory.mktemp("pages"), load_contract("ecommerce")
    clean = simulate(Population(users=400, seed=2))
    frame = weave(clean, soil(clean, 0.03, seed=1))
    frame["amount"] = frame["amount"].where(frame["card_type"] != "prepaid", "6000.00")
    frame["device_type"] = frame["device_type"].where(frame["device_type"] != "tablet", "mobile")
    frame.assign(is_fraud="1").to_csv(folder / "orders.csv", index=False)
    landed = load_transactions(contract, [str(folder / "orders.csv")])
    table, names = landed.table, feature_set(contract).names
    matrix = offline_features(table)
    scores = np.arange(len(table)) / len(table)
    known = reference(matrix, names, scores)
    result = check(landed, contract, "training", load_suite(contract, "training"))
    earlier = [summarise(result, landed)] * 6
    (folder / "quality.html").write_bytes(render_report(result, landed, earlier, known))

    moved = matrix.copy()
    moved[:, names.index("amount")] *= 3
    skew = LiveSkew(Skew(900, 12, (Difference("t1", "is_night", 1.0, 0.0),)), Skew(900, 0, ()), 40, {})
    seen = Monitored(
        contract="ecommerce",
        version="2026-02-19-0123456789ab",
        start=int(table.timestamp[0]),
        end=int(table.timestamp[-1]),
        drift=compare(known, moved, names, scores),
        alerts=alert_drift(30.0, 200, 1.0),
        performance=None,
        skew=skew,
    )
    (folder / "monitor.html").write_bytes(render_monitor(seen))
    return {name: folder / f"{name}.html" for name in ("quality", "monitor")}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["quality", "monitor"])
def test_the_page_opens_offline_with_nothing_asked_for_and_nothing_to_complain_of(
    page: Page, pages: dict[str, Path], name: str, scheme: str
) -> None:
    page.open(pages[name], scheme, width=1100)
    assert page.requests() == []
    assert page.complaints() == []
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(251, 251, 250)", "dark": "rgb(20, 24, 28)"}[scheme]
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    (SCREENSHOTS / f"{name}-{scheme}.png").write_bytes(page.screenshot())


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["quality", "monitor"])
def test_every_text_can_be_read_against_what_is_behind_it(
    page: Page, pages: dict[str, Path], name: str, scheme: str
) -> None:
    """WCAG 2.2, 1.4.3: a contrast of 4.5 to 1."""
    page.open(pages[name], scheme, width=1100)
    assert page.evaluate(_FAINT_TEXTS) == []


@pytest.mark.parametrize("name", ["quality", "monitor"])
def test_a_phone_shows_the_page_without_scrolling_sideways(page: Page, pages: dict[str, Path], name: str) -> None:
    page.open(pages[name], "light", width=360)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("name", ["quality", "monitor"])
def test_the_page_prints_on_white_whatever_the_screen_shows(page: Page, pages: dict[str, Path], name: str) -> None:
    page.open(pages[name], "dark", width=1100, media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate(_FAINT_TEXTS) == []
    assert page.pdf().startswith(b"%PDF")


def test_charts_tell_their_numbers_to_those_who_cannot_see_them(page: Page, pages: dict[str, Path]) -> None:
    page.open(pages["quality"], "light", width=1100)
    assert page.evaluate("document.querySelectorAll('svg').length") > 10
    assert page.evaluate("[...document.querySelectorAll('svg')].filter(s => !s.getAttribute('aria-label')).length") == 0
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.evaluate("document.querySelectorAll('th:not([scope])').length") == 0


_FAINT_TEXTS = """
(() => {
  const parse = c => (c.match(/[\\d.]+/g) || []).map(Number);
  const light = c => { const [r, g, b] = c.slice(0, 3).map(v => { v /= 255;
    return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length === 3 || c[3] > 0) return c; } return [255, 255, 255]; };
  const faint = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const text = walk.currentNode.textContent.trim(), element = walk.currentNode.parentElement;
    if (!text || element.closest('svg')) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(behind(element))];
    if ((Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5) faint.push(text.slice(0, 40));
  }
  return faint;
})()
"""
