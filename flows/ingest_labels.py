"""Ingest labels: what was found of transactions, from files, into the label store that retrains read."""

from dataclasses import dataclass

from prefect import flow
from pydantic import BaseModel, Field

from flows import defaults
from fraudline.contract import load_contract
from fraudline.quality.places import refused_labels_key
from fraudline.settings import load_settings
from tasks import landing, materializing
from tasks.artifacts import tag_run


class IngestLabelsRequest(BaseModel):
    """Which files say what became known, and when."""

    labels: list[str] = Field(
        min_length=1,
        description="Files, folders or s3:// prefixes with transaction_id, label, known_at; an empty label withdraws",
    )
    quarantine: str = Field(
        default_factory=defaults.refused_rows, description="Where refused rows go: a folder or s3://bucket/prefix"
    )


@dataclass(frozen=True)
class IngestLabelsResult:
    """What became of the rows."""

    applied: int
    refused: int
    quarantine: str | None


@flow(name="ingest-labels", flow_run_name="ingest-labels-{request.labels[0]}")
def ingest_labels(request: IngestLabelsRequest) -> IngestLabelsResult:
    """Append labels of landed transactions to the store: late, corrected and withdrawn ones too, each once."""
    settings = load_settings()
    contract = load_contract(settings.contract)
    tag_run(contract=contract.name)
    # A wrong file is told first: reading all that has landed may take minutes.
    rows = landing.read_label_rows(request.labels)
    labels = landing.known_labels(rows, landing.load_all(contract, landing.ALL_TIMES).table)
    applied = materializing.apply_labels(settings, labels.verdicts)
    # By the moment, not the day: another file's run keeps what it refused beside this one's.
    run = f"{contract.name}-{defaults.due():%Y-%m-%dT%H%M%S.%f}"
    kept = landing.quarantine(labels.rejects, request.quarantine, refused_labels_key(run))
    return IngestLabelsResult(applied, len(labels.rejects), kept)
