"""Suites from this folder: `expectations/<contract>/<stage>.json`."""

from pathlib import Path

from fraudline.contract import SHIPPED, Contract
from fraudline.errors import BadInput
from fraudline.quality.draft import draft
from fraudline.quality.suite import Stage, Suite, decode_suite, encode_suite
from fraudline.transactions.landed import Landed

FOLDER = Path(__file__).parent


def load_suite(contract: Contract, stage: Stage, file: Path | str | None = None) -> Suite:
    """The suite in `file`, else the one kept here for the contract, else one drafted from the contract alone."""
    path = Path(file) if file else suite_path(contract, stage)
    if file is None and not path.exists():
        return draft(contract, stage)
    try:
        return decode_suite(path.read_bytes(), str(path))
    except OSError as error:
        raise BadInput(f"suite {path} cannot be read: {error.strerror}; name a JSON file") from error


def where_to_correct(contract: Contract, stage: Stage, file: Path | str | None = None) -> str:
    """The file that `load_suite` reads, or, where it drafts a suite, how a person comes by one to edit."""
    if file:
        return str(file)
    if suite_path(contract, stage).exists():
        return f"expectations/{contract.name}/{stage}.json"
    name = contract.name if contract.name in SHIPPED else "FILE.toml"
    return (
        f"the expectations, which follow from the contract alone: `fraudline quality suite --contract {name}"
        f" --stage {stage}` writes them to a file to edit"
    )


def suite_path(contract: Contract, stage: Stage) -> Path:
    """Where a person keeps the edited suite of a contract's stage."""
    return FOLDER / contract.name / f"{stage}.json"


def write_draft(contract: Contract, stage: Stage, sample: Landed | None, file: Path | str | None = None) -> Path:
    """Draft a suite (from a sample, if there is one) into `file` or this folder; what is there stays."""
    path = Path(file) if file else suite_path(contract, stage)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as destination:
            destination.write(encode_suite(draft(contract, stage, sample)))
    except FileExistsError as error:
        raise BadInput(f"{path} exists and may have been edited: name another file, or move it away") from error
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}; name another file") from error
    return path
