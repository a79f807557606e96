"""A quality run with its results kept: the page, the figures, the rows refused and the rows left out of training.

In `out`, the newest run is `report.html` and `quality.json`; every run is kept as `runs/<stage>/<name>.{html,json}` for
trends, its refused rows as `quarantine/<name>.jsonl`, its rows left out of training as `excluded/<stage>/<name>.jsonl`,
where `fraudline quarantine` finds both.
"""

from typing import Any

from expectations import load_suite
from fraudline.adapters.inputs.files import rejected_lines
from fraudline.adapters.inputs.originals import left_out
from fraudline.adapters.storage.objects import Objects
from fraudline.contract import Contract
from fraudline.quality.check import check
from fraudline.quality.outcome import QualityResult
from fraudline.quality.places import excluded_key, refused_key
from fraudline.quality.report import render_report
from fraudline.quality.suite import Stage
from fraudline.quality.summary import Summary, decode_summary, encode_summary, summarise
from fraudline.quality.trends import RUNS
from fraudline.transactions.landed import Landed

REPORT = "report.html"
FIGURES = "quality.json"
_RUNS = "runs/"


def run_quality(contract: Contract, landed: Landed, out: Objects, *, stage: Stage = "landed") -> QualityResult:
    """Judge what was read by the suite in `expectations/` and keep the results in `out`; a failed run too.

    The same run again changes nothing.
    """
    result = check(landed, contract, stage, load_suite(contract, stage))
    keep(result, landed, out)
    return result


def keep(result: QualityResult, landed: Landed, out: Objects, reference: dict[str, Any] | None = None) -> None:
    """Write the page, the figures and the rows of a result; `reference` is the champion's, for the charts."""
    summary = summarise(result, landed)
    page = render_report(result, landed, earlier_runs(out, summary), reference)
    figures = encode_summary(summary)
    refused = [reject for reject in landed.rejects if reject.raw]
    if refused:
        out.put(refused_key(summary.name), rejected_lines(refused))
    if len(result.excluded):
        rows = left_out(landed, landed.table, result)
        out.put(excluded_key(result.stage, summary.name), rejected_lines(rows))
    out.put(f"{_run(summary)}.html", page)
    out.put(f"{_run(summary)}.json", figures)
    out.put(REPORT, page)
    out.put(FIGURES, figures)


def earlier_runs(out: Objects, summary: Summary) -> list[Summary]:
    """The runs on windows before this one that are kept in `out`, oldest first; of the same contract and stage."""
    kept = out.list(f"{_RUNS}{summary.stage}/")
    names = (key for key in kept if key.endswith(".json") and key < f"{_run(summary)}.json")
    runs = (decode_summary(out.get(key)) for key in list(names)[-RUNS:])
    return [run for run in runs if (run.contract, run.stage) == (summary.contract, summary.stage)]


def _run(summary: Summary) -> str:
    """Judged for another stage, the same rows are another run of the same name."""
    return f"{_RUNS}{summary.stage}/{summary.name}"
