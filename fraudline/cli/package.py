"""`fraudline package-lambda` and `fraudline deploy-lambda`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from fraudline.cli.common import JsonOption, print_json, print_pairs, working
from fraudline.errors import BadInput


def register(app: typer.Typer) -> None:
    app.command("package-lambda")(package_lambda)
    app.command("deploy-lambda")(deploy_lambda)


def package_lambda(
    out: Annotated[Path, typer.Option(help="The zip to write.")],
    python: Annotated[str, typer.Option(help="The function's Python: 3.11, 3.12 or 3.13.")] = "3.11",
    arch: Annotated[str, typer.Option(help="x86_64 or arm64.")] = "x86_64",
    bundle: Annotated[
        Path | None, typer.Option(help="A version's folder to bake in; else the champion is fetched.")
    ] = None,
    trees: Annotated[bool, typer.Option("--trees", help="Add what a champion of boosted trees needs.")] = False,
    json: JsonOption = False,
) -> None:
    """Make the real-time function's zip: the scorer's code and its one library, the same bytes every time."""
    with working("Packaging"):
        from fraudline.realtime.packaging import package_lambda as package

        report = package(out, python, arch, bundle, trees)
    if json:
        print_json(asdict(report))
    else:
        print_pairs("Package", asdict(report))


def deploy_lambda(
    package: Annotated[Path, typer.Option(help="A zip that `fraudline package-lambda` made.")],
    name: Annotated[str, typer.Option(help="The function.")] = "fraudline-realtime-dev",
    alias: Annotated[str, typer.Option(help="What callers name; moved to the new version once it answers.")] = "live",
    role: Annotated[str | None, typer.Option(help="The ARN of its role; an emulator needs none.")] = None,
    variable: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE of the function's environment, beside FRAUDLINE_*; repeatable."),
    ] = None,
    subscribe: Annotated[
        bool, typer.Option("--subscribe", help="Invoke it with the stream's records, as a second opinion.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Deploy the function alone, to try it: on the emulator, or in an AWS account for development; prints its address.

    Where AWS is says the environment (AWS_ENDPOINT_URL, AWS_PROFILE). Functions that Terraform made are refused: their
    releases go through main, a tenth of the calls first.
    """
    with working("Deploying"):
        deployed = asdict(_deployed(package, name, alias, role, _variables(variable or []), subscribe))
    if json:
        print_json(deployed)
    else:
        # The address in one piece, whatever the width of the terminal: it is there to be copied.
        address = deployed.pop("url")
        print_pairs("Function", deployed)
        typer.echo(address)


def _deployed(
    package: Path, name: str, alias: str, role: str | None, variables: dict[str, str], subscribe: bool
) -> Any:
    from fraudline.adapters.aws.clients import client
    from fraudline.contract import load_contract
    from fraudline.local.deploying import arn_of_stream, deploy_to_try, give_second_opinion, read_package
    from fraudline.settings import load_settings

    settings, functions = load_settings(), client("lambda")
    # The function knows a contract by its name, and has it in its model; here it may be a file.
    contract = {"FRAUDLINE_CONTRACT": load_contract(settings.contract).name}
    environment = {**settings.to_environment(), **contract, **variables}
    # Asked before anything is made: a stream that is not there must not leave half of what was wanted.
    stream_arn = arn_of_stream(client("kinesis"), settings.stream) if subscribe else None
    deployed = deploy_to_try(functions, name, alias, read_package(package), environment, role)
    if stream_arn:
        give_second_opinion(functions, deployed, stream_arn)
    return deployed


def _variables(assignments: list[str]) -> dict[str, str]:
    for assignment in assignments:
        if not assignment.partition("=")[0].isidentifier() or "=" not in assignment:
            raise BadInput(f"--set {assignment!r} is no NAME=VALUE: correct it")
    return dict(assignment.split("=", 1) for assignment in assignments)
