"""What a whole retrain costs: `fraudline retrain` of all candidates on the public card data, in a process of its own.

    python -m benchmarks.retrain [FOLDER]

Four months of transactions in, a published version out. Seconds of wall clock and CPU, and the peak memory.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data" / "cards"
AS_OF = "2018-08-01"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT)
    folder = parser.parse_args().folder
    if not folder.exists():
        sys.exit(f"{folder} is not there: this benchmark needs the public card data")
    program = Path(sys.executable).with_name("fraudline")
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as models:
        options = ("--contract", "cards", "--as-of", AS_OF, "--models", models)
        subprocess.run([program, "retrain", "--transactions", folder, *options], check=True, stdout=subprocess.DEVNULL)
    wall, used = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    out = Table(title=f"fraudline retrain, cards as of {AS_OF}")
    for column in ("wall, s", "CPU, s", "peak memory, MiB"):
        out.add_column(column, justify="right")
    out.add_row(f"{wall:.0f}", f"{used.ru_utime + used.ru_stime:.0f}", f"{used.ru_maxrss / 1024:,.0f}")
    Console(width=120).print(out)


if __name__ == "__main__":
    main()
