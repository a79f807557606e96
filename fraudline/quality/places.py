"""Where runs on files keep rows for a person: those refused, and those left out of training."""

from fraudline.quality.suite import Stage

REFUSED = "quarantine/"
REFUSED_LABELS = f"{REFUSED}labels/"
EXCLUDED = "excluded/"
SUFFIX = ".jsonl"


def refused_key(run: str) -> str:
    """Rows of a run that are no transactions; records that a stream refused are in its own quarantine."""
    return f"{REFUSED}{run}{SUFFIX}"


def refused_labels_key(run: str) -> str:
    """Rows of a run's label files that are no labels."""
    return f"{REFUSED_LABELS}{run}{SUFFIX}"


def excluded_key(stage: Stage, run: str) -> str:
    """Valid rows of a run that fail a stage's expectations."""
    return f"{EXCLUDED}{stage}/{run}{SUFFIX}"
