"""Takes the pictures in docs/images from a stack that `fraudline up` has run for a while:

eval "$(fraudline env)" && python -m tests.ui.take_screenshots docs/images
"""

import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.support.pipeline import Api
from tests.ui.chromium import program
from tests.ui.live import LivePage, labelled, live_page

SETTLE_SECONDS = 3.0
HEIGHT, PICTURE_HEIGHT = 1000, 640


def main(folder: Path) -> None:
    browser = program()
    if browser is None:
        sys.exit("there is no Chromium: install the package chromium")
    api = Api(os.environ["PREFECT_API_URL"])
    with live_page(browser) as page:
        take(page, api, folder)


def take(page: LivePage, api: Api, folder: Path) -> None:
    ui, today = api.url.removesuffix("/api"), datetime.now(UTC).date()
    retrain, stream = (api.runs(flow)[0]["id"] for flow in ("retrain", "score-stream"))
    picture = api.artifacts(retrain)["evaluation-ecommerce"]["id"]
    queue = api.artifacts(stream)["review-ecommerce"]["id"]
    form = api.deployment("backfill/on-demand")["id"]
    pages = {
        "prefect-runs": (f"{ui}/runs", "retrain-ecommerce"),
        "prefect-retrain": (f"{ui}/runs/flow-run/{retrain}", "decision:"),
        "prefect-evaluation": (f"{ui}/artifacts/artifact/{picture}", "evaluation-ecommerce"),
        "prefect-review-queue": (f"{ui}/artifacts/artifact/{queue}", "review-ecommerce"),
        "prefect-backfill-form": (f"{ui}/deployments/deployment/{form}/run", "The day after the last one to score"),
        "prefect-deployments": (f"{ui}/deployments", "every-5-minutes"),
        "prefect-automations": (f"{ui}/automations", "fraudline: a run is late"),
    }
    for name, (url, text) in pages.items():
        # Below a picture the UI prints its address, which is the picture again.
        page.go(url, height=PICTURE_HEIGHT if name == "prefect-evaluation" else HEIGHT)
        page.wait_for_text(text)
        if name == "prefect-retrain":
            page.click(labelled("Artifacts"))
        if name == "prefect-backfill-form":
            for field, day in enumerate((today - timedelta(days=7), today)):
                page.fill(f"document.querySelectorAll('input[type=date]')[{field}]", day.isoformat())
        time.sleep(SETTLE_SECONDS)
        (folder / f"{name}.png").write_bytes(page.screenshot())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
