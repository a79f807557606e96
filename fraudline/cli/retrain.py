"""`fraudline retrain`."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from fraudline.adapters.clock import require_begun
from fraudline.cli.checks import checked_input, checked_registry
from fraudline.cli.common import (
    ContractOption,
    JsonOption,
    ModelsOption,
    TransactionsOption,
    parse_date,
    print_json,
    print_pairs,
    print_rows,
    run_flow,
    working,
)


def register(app: typer.Typer) -> None:
    app.command()(retrain)


def retrain(
    transactions: TransactionsOption,
    as_of: Annotated[str, typer.Option("--as-of", help="Use only what was known at the start of this day (UTC).")],
    models: ModelsOption = "models",
    contract: ContractOption = "ecommerce",
    quarantine: Annotated[str | None, typer.Option(help="Where rejected rows go; by default with the models.")] = None,
    labels: Annotated[
        list[str] | None, typer.Option(help="A file with transaction_id, label, known_at; repeatable.")
    ] = None,
    candidate: Annotated[
        list[str] | None, typer.Option(help="Only this one: logistic, logistic_smote, boosted_trees; repeatable.")
    ] = None,
    save_splits: Annotated[
        bool, typer.Option("--save-splits", help="Keep the landed, train, test and resampled sets for audit.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, input and date: the same version, byte for byte.")] = 0,
    json: JsonOption = False,
) -> None:
    """Train candidates on labelled history, publish the best as a version, promote it if it beats the champion.

    A rejected challenger is a normal outcome (exit code 0) that says why.
    """
    day = parse_date(as_of, "--as-of")
    require_begun(day)
    checked_registry(models, checked_input(contract, transactions))
    with working("Starting"):
        from flows.retrain import RetrainRequest
        from flows.retrain import retrain as flow

        request = RetrainRequest(
            contract=contract,
            transactions=transactions,
            as_of=day,
            models=models,
            quarantine=quarantine or models,
            labels=labels or [],
            candidates=candidate or [],
            save_splits=save_splits,
            seed=seed,
        )
        result = run_flow(flow, request)
    values = asdict(result)
    if json:
        print_json(values)
        return
    _print(values)


def _print(values: dict[str, Any]) -> None:
    decision = values["decision"]
    shown = ("average_precision", "roc_auc", "card_precision", "precision", "recall", "expected_calibration_error")
    rows = [
        {
            "candidate": name + ("*" if name == values["candidate"] else ""),
            **{key.replace("_", " "): figures[key] for key in shown},
        }
        for name, figures in values["metrics"].items()
    ]
    print_rows("Candidates on walk-forward test spans (* chosen)", rows)
    print_pairs(
        "Retrain",
        {
            "version": values["version"],
            "decision": f"{decision['action']}: {decision['reason']}",
            "threshold": values["threshold"],
            "rows": values["rows"],
            "valid": values["valid"],
            "quarantined": values["quarantined"],
            "duplicates": values["duplicates"],
            "left out of training": values["excluded"],
            **({"quarantine": values["quarantine"]} if values["quarantine"] else {}),
            **({"rows left out": values["left_out"]} if values["left_out"] else {}),
        },
    )
