"""`fraudline models list|show|promote|rollback`."""

import os
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from fraudline.adapters.whoami import whoami
from fraudline.cli.checks import checked_registry
from fraudline.cli.common import (
    DeploymentContractOption,
    JsonOption,
    ModelsOption,
    contract_or_deployments,
    err,
    out,
    print_json,
    print_pairs,
    print_rows,
)
from fraudline.cli.status import use_stack

app = typer.Typer(help="Versions, champion and history of a contract's models.", no_args_is_help=True)
VersionArgument = Annotated[str, typer.Argument(help="A version, or champion.")]
ReasonOption = Annotated[str, typer.Option(help="Why, for those who read the history.")]


def register(parent: typer.Typer) -> None:
    parent.add_typer(app, name="models")


def _registry(models: str, contract: str) -> Any:
    from fraudline.contract import load_contract

    if "://" in models:
        use_stack()
    return checked_registry(models, load_contract(contract_or_deployments(contract)))


@app.command("list")
def list_(models: ModelsOption = "models", contract: DeploymentContractOption = "", json: JsonOption = False) -> None:
    """All versions with their place in history, and who is champion."""
    registry = _registry(models, contract)
    champion = registry.champion()
    rows = [_row(registry, version, champion) for version in registry.versions()]
    for problem in [row.pop("problem") for row in rows if "problem" in row]:
        err.print(problem)
    if json:
        history = [{**_plain(entry)} for entry in registry.history()]
        print_json({"champion": champion, "versions": rows, "history": history})
    elif rows:
        print_rows(
            f"Versions in {registry.location}", [{k: "" if v is None else v for k, v in r.items()} for r in rows]
        )
    else:
        out.print(
            f"No versions of contract {registry.contract!r} in {registry.location} yet: run `fraudline retrain`, or"
            " name another contract with --contract.",
            highlight=False,
        )


def _row(registry: Any, version: str, champion: str | None) -> dict[str, Any]:
    """What is known of a version; of a damaged one its place in history, for the others are wanted all the more."""
    from fraudline.adapters.registry import MAKES_CHAMPION
    from fraudline.errors import Tampered
    from fraudline.model.bundle import read_manifest

    actions = [entry.action for entry in registry.history() if entry.version == version]
    if version == champion:
        # The same retrain again makes the same version and rejects it: what made it champion still holds.
        actions = [action for action in actions if action in MAKES_CHAMPION]
    place = {"version": version, "champion": version == champion}
    action = {"last action": actions[-1] if actions else ""}
    try:
        manifest = read_manifest(registry.read(version).__getitem__, version)
    except Tampered as error:
        unknown = {"candidate": "damaged", "average precision": None, "trained": None}
        return {**place, **unknown, **action, "problem": str(error)}
    return {
        **place,
        "candidate": manifest.candidate,
        "average precision": manifest.metrics["candidates"][manifest.candidate]["average_precision"],
        "trained": f"{manifest.training['begin']} to {manifest.training['end']}",
        **action,
    }


def _plain(entry: Any) -> dict[str, Any]:
    import msgspec

    return msgspec.to_builtins(entry)  # type: ignore[no-any-return]


@app.command()
def show(
    version: VersionArgument = "champion",
    models: ModelsOption = "models",
    contract: DeploymentContractOption = "",
    json: JsonOption = False,
) -> None:
    """A version's model card; with --json its manifest."""
    import msgspec

    from fraudline.model.bundle import read_manifest, read_verified

    registry = _registry(models, contract)
    name = registry.resolve(version)
    read = registry.read(name).__getitem__
    manifest = read_manifest(read, name)
    if json:
        print_json(msgspec.to_builtins(manifest))
    else:
        out.print(_card(read_verified(read, manifest, "model_card.md").decode()))


def _card(text: str) -> Any:
    """A card for the terminal; Rich would cut what does not fit a column of its tables."""
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.markdown import Markdown, TableElement

    class Folded(TableElement):
        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            for table in super().__rich_console__(console, options):
                for column in table.columns:  # type: ignore[union-attr] # it makes one rich.table.Table
                    column.overflow = "fold"
                yield table

    class Card(Markdown):
        elements = {**Markdown.elements, "table_open": Folded}

    return Card(text)


@app.command()
def promote(
    version: Annotated[str, typer.Argument(help="The version to make champion.")],
    reason: ReasonOption,
    models: ModelsOption = "models",
    contract: DeploymentContractOption = "",
    json: JsonOption = False,
) -> None:
    """Make a version the champion, after verifying all its files, and that the stream has profiles of its features."""
    registry = _registry(models, contract)
    number = registry.next_number()
    _verify(registry, version)
    _require_profiles(registry, version)
    entry = registry.promote(version, reason, {}, whoami(), datetime.now(UTC), number)
    _announce("promoted", entry, contract)
    _report(entry, json)


@app.command()
def rollback(
    reason: ReasonOption,
    version: Annotated[str | None, typer.Option(help="The version to return to; by default the previous one.")] = None,
    models: ModelsOption = "models",
    contract: DeploymentContractOption = "",
    json: JsonOption = False,
) -> None:
    """Return to the previous champion: a new entry in the history, nothing is deleted."""
    registry = _registry(models, contract)
    number = registry.next_number()
    target = version or registry.previous_champion()
    if target:
        _verify(registry, target)
        _require_profiles(registry, target)
    entry = registry.rollback(reason, whoami(), datetime.now(UTC), version, number)
    _announce("rolled_back", entry, contract)
    _report(entry, json)


@app.command()
def diff(
    one: Annotated[str, typer.Argument(help="A version, or champion.")],
    other: Annotated[str, typer.Argument(help="Another one.")],
    models: ModelsOption = "models",
    contract: DeploymentContractOption = "",
    json: JsonOption = False,
) -> None:
    """What differs between two versions: candidate, parameters, training window, threshold, figures, features."""
    registry = _registry(models, contract)
    names = [registry.resolve(one), registry.resolve(other)]
    ours, theirs = (_facts(registry, name) for name in names)
    rows = [
        {"what": what, names[0]: ours.get(what, ""), names[1]: theirs.get(what, "")}
        for what in dict.fromkeys((*ours, *theirs))
        if ours.get(what) != theirs.get(what)
    ]
    if json:
        print_json({"versions": names, "differences": rows})
    elif rows:
        print_rows("Differences", rows)
    else:
        out.print("They do not differ in anything that a manifest tells.")


def _facts(registry: Any, version: str) -> dict[str, Any]:
    from fraudline.model.bundle import read_manifest

    manifest = read_manifest(registry.read(version).__getitem__, version)
    figures = manifest.metrics["candidates"][manifest.candidate]
    return {
        "candidate": manifest.candidate,
        **{f"parameter {name}": str(value) for name, value in manifest.parameters.items()},
        **{f"training {name}": str(value) for name, value in manifest.training.items()},
        "threshold": manifest.threshold,
        **figures,
        "feature hash": manifest.feature_hash,
        "features": len(manifest.features),
        **{f"library {name}": text for name, text in manifest.libraries.items()},
    }


@app.command()
def verify(
    version: VersionArgument = "champion",
    models: ModelsOption = "models",
    contract: DeploymentContractOption = "",
    json: JsonOption = False,
) -> None:
    """Check a version's every file against its manifest, and replay its golden inputs."""
    registry = _registry(models, contract)
    name = registry.resolve(version)
    files = _verify(registry, name)
    if json:
        print_json({"version": name, "verified": files})
    else:
        out.print(f"{name}: {len(files)} files are what the manifest says, golden inputs score as recorded.")


def _verify(registry: Any, version: str) -> list[str]:
    from fraudline.model.bundle import load_bundle, read_verified

    files = registry.read(version)
    bundle = load_bundle(files.__getitem__, version)
    for name in bundle.manifest.files:
        read_verified(files.__getitem__, bundle.manifest, name)
    return list(bundle.manifest.files)


def _require_profiles(registry: Any, version: str) -> None:
    """A champion of the deployment's stream needs profiles of its features; a registry elsewhere has no stream."""
    from fraudline.model.bundle import read_manifest
    from fraudline.settings import load_settings

    settings = load_settings()
    if registry.location == f"s3://{settings.models_bucket}":
        from fraudline.adapters.generations.marks import require_ready

        require_ready(settings, read_manifest(registry.read(version).__getitem__, version).feature_hash)


def _announce(verb: str, entry: Any, contract: str) -> None:
    """An event for the Prefect server's automations, where a server is configured."""
    if not os.environ.get("PREFECT_API_URL"):
        return
    from fraudline.contract import load_contract
    from tasks.artifacts import tell

    payload = {"version": entry.version, "reason": entry.reason, "who": entry.who}
    tell(f"fraudline.model.{verb}", f"fraudline.model.{load_contract(contract_or_deployments(contract)).name}", payload)


def _report(entry: Any, json: bool) -> None:
    if json:
        print_json(_plain(entry))
    else:
        print_pairs("History", _plain(entry))
