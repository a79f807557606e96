"""`fraudline cost`."""

from dataclasses import asdict
from datetime import date
from typing import Annotated, Literal

import typer

from fraudline.cli.common import ContractOption, JsonOption, err, print_json, print_rows

COLUMNS = ("service", "what", "how much", "US$ a month")


def register(app: typer.Typer) -> None:
    app.command()(cost)


def cost(
    users: Annotated[int, typer.Option(help="How many users have a profile.")],
    transactions_per_second: Annotated[float, typer.Option(help="On average, over day and night.")],
    environment: Annotated[Literal["dev", "prod"], typer.Option(help="Whose infra/*.tfvars.")] = "prod",
    decision_days: Annotated[int, typer.Option(help="How long decisions are kept.")] = 365,
    contract: ContractOption = "ecommerce",
    archive_days: Annotated[int, typer.Option(help="How old the archive is, which is kept for good.")] = 3 * 365,
    json: JsonOption = False,
) -> None:
    """Estimate what a deployment on AWS costs in a month, from its traffic and dated list prices."""
    from fraudline.contract import load_contract
    from fraudline.cost.bill import doubts, estimate, render
    from fraudline.cost.deployment import DEPLOYMENTS, Workload
    from fraudline.cost.prices import load_prices

    lagged = bool(load_contract(contract).lagged_entities)
    workload = Workload(transactions_per_second, users, decision_days, archive_days, lagged_entities=lagged)
    deployment, prices = DEPLOYMENTS[environment], load_prices()
    month = estimate(workload, deployment, prices)
    for doubt in doubts(deployment, prices, date.today()):
        err.print(f"note: {doubt}", soft_wrap=True)
    if json:
        print_json({"dollars": month.dollars, **asdict(month)})
    else:
        print_rows(f"A month of {environment}", [dict(zip(COLUMNS, row, strict=True)) for row in render(month)])
