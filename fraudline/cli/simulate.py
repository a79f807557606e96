"""`fraudline simulate`."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from fraudline.cli.common import JsonOption, print_json, print_pairs
from fraudline.errors import BadInput


def register(app: typer.Typer) -> None:
    app.command()(simulate)


def simulate(
    out: Annotated[Path, typer.Option(help="The .csv, .jsonl or .parquet file to write.")],
    users: Annotated[int, typer.Option(help="How many users have habits.")] = 2000,
    days: Annotated[int, typer.Option(help="How many days.")] = 45,
    start: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The first day.")] = datetime(2026, 1, 5),
    fraud_rate: Annotated[float, typer.Option(help="Share of transactions that are fraud.")] = 0.015,
    dirt: Annotated[float, typer.Option(help="Share of dirty rows added (.csv only).")] = 0.0,
    seed: Annotated[int, typer.Option(help="Same seed, same file.")] = 0,
    json: JsonOption = False,
) -> None:
    """Make e-commerce transactions: users with habits, three kinds of fraud, and dirt if wanted."""
    from fraudline.adapters.storage.disk import write_whole
    from fraudline.simulate import Population, soil, weave
    from fraudline.simulate import simulate as make

    if out.suffix not in (".csv", ".jsonl", ".parquet"):
        raise BadInput(f"--out {out} is of no known format: use a name that ends in .csv, .jsonl or .parquet")
    if dirt and out.suffix != ".csv":
        raise BadInput(f"--dirt needs text cells: use a name that ends in .csv, not {out.suffix}")
    frame = make(Population(users=users, days=days, start=start.date(), fraud_rate=fraud_rate, seed=seed))
    planted = soil(frame, dirt, seed) if dirt else []
    frames = weave(frame, planted) if planted else frame
    renderers = {
        ".csv": lambda: frames.to_csv(index=False).encode(),
        ".jsonl": lambda: frames.to_json(orient="records", lines=True).encode(),
        ".parquet": lambda: frames.to_parquet(index=False),
    }
    write_whole(out, renderers[out.suffix]())
    report = {"file": str(out), "rows": len(frames), "frauds": int(frame["is_fraud"].sum()), "dirty": len(planted)}
    if json:
        print_json(report)
    else:
        print_pairs("Simulated", report)
