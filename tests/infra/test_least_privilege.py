"""The roles may do exactly what the code calls: no action missing, none to spare.

Calls are read from the source, not from a run, so a branch that no test takes counts too. They appear in three forms:
a method of a boto3 client, an operation's name handed to a signed JSON request, and a PartiQL statement.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from botocore import xform_name
from botocore.session import get_session

from .conftest import REPO, Plan, allowed, as_list

SERVICES = ("dynamodb", "kinesis", "s3", "sns", "sqs", "cloudwatch")
# IAM names some actions otherwise than the API names the operation (Service Authorization Reference).
ACTIONS = {
    "s3:HeadObject": {"s3:GetObject"},
    "s3:HeadBucket": {"s3:ListBucket"},
    "s3:ListObjectsV2": {"s3:ListBucket"},
    "s3:ListObjectVersions": {"s3:ListBucketVersions"},
    "s3:DeleteObjects": {"s3:DeleteObject", "s3:DeleteObjectVersion"},
    "sns:PublishBatch": {"sns:Publish"},
    "sqs:SendMessageBatch": {"sqs:SendMessage"},
    "sqs:DeleteMessageBatch": {"sqs:DeleteMessage"},
    # Judged by its statements, which are found as such.
    "dynamodb:BatchExecuteStatement": set(),
    # Judged by what it is made of: updates, and the condition that goes with them.
    "dynamodb:TransactWriteItems": {"dynamodb:ConditionCheckItem", "dynamodb:UpdateItem"},
}
# A version that is named needs another right than the object as it is.
VERSIONED = {"get_object": "s3:GetObjectVersion", "delete_object": "s3:DeleteObjectVersion"}
PARTIQL = {
    "INSERT INTO ": "dynamodb:PartiQLInsert",
    "UPDATE \"": "dynamodb:PartiQLUpdate",
    "DELETE FROM ": "dynamodb:PartiQLDelete",
    "SELECT ": "dynamodb:PartiQLSelect",
}  # fmt: skip


@cache
def operations() -> dict[str, str]:
    """Every operation of the services, as `service:Operation`, by its name; a name of two services is ambiguous."""
    found: dict[str, str] = {}
    for service in SERVICES:
        for name in get_session().get_service_model(service).operation_names:
            found[name] = "ambiguous" if name in found else f"{service}:{name}"
    return found


@cache
def methods() -> dict[str, str]:
    """The same by boto3's method names."""
    return {xform_name(name): action for name, action in operations().items()}


def text_of(node: ast.AST) -> str:
    """A string's text as far as it is constant."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) for part in node.values)
    return ""


def is_client(node: ast.AST) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name.lstrip("_") in {"client", "ecs", *SERVICES}


def called(call: ast.Call) -> Iterator[str]:
    """The operations that one call carries out."""
    if isinstance(call.func, ast.Attribute) and is_client(call.func.value):
        if call.func.attr == "get_paginator":
            yield methods()[text_of(call.args[0])]
        elif call.func.attr in VERSIONED and "VersionId" in {keyword.arg for keyword in call.keywords}:
            yield VERSIONED[call.func.attr]
        elif call.func.attr in methods():
            yield methods()[call.func.attr]
    for argument in call.args:
        if text_of(argument) in operations():
            yield operations()[text_of(argument)]
    # The Lambda's own S3 client speaks HTTP: a GET with a query lists, one without reads.
    if isinstance(call.func, ast.Attribute) and call.func.attr == "send" and text_of(call.args[0]) == "GET":
        yield "s3:ListObjectsV2" if len(call.args) > 2 else "s3:GetObject"


def actions_of(path: Path) -> set[str]:
    """The IAM actions that a module's code needs."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            for operation in called(node):
                assert operation != "ambiguous", f"{path.name}:{node.lineno}"
                found |= ACTIONS.get(operation, {operation})
        found |= {action for verb, action in PARTIQL.items() if text_of(node).startswith(verb)}
    return found


def modules(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((REPO / folder).rglob("*.py"))]


def imported(start: Path) -> set[Path]:
    """The project's modules that importing one brings in, itself included.

    The Lambda's own modules import some of them when it starts; what others import in functions, it never runs.
    """
    found: set[Path] = set()
    waiting = [start]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        waiting += [file for name in _imports(path) for file in _files(name)]
    return found


def _imports(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree) if path.parent.name == "realtime" else tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _files(name: str) -> Iterator[Path]:
    path = REPO / Path(*name.split("."))
    yield from (file for file in (path.with_suffix(".py"), path / "__init__.py") if file.exists())


def needed(component: str) -> dict[str, set[Path]]:
    """The actions a component's code needs, and where."""
    parts = {
        "realtime": imported(REPO / "fraudline" / "realtime" / "handler.py"),
        "flow": set(modules("fraudline/adapters", "tasks", "flows")) - {NOTIFIER},
        "notifier": {NOTIFIER},
    }
    found: dict[str, set[Path]] = {}
    for path in parts[component]:
        for action in actions_of(path):
            found.setdefault(action, set()).add(path)
    return found


# Runs beside the Prefect server, with the server's role.
NOTIFIER = REPO / "fraudline" / "adapters" / "notifier.py"
POLICIES = {
    "notifier": (
        "module.prefect_server[0].aws_iam_role_policy.notifier",
        "infra/modules/prefect_server/permissions.tf",
    ),
    "realtime": ("module.realtime.aws_iam_role_policy.application", "infra/modules/realtime/permissions.tf"),
    "flow": ("module.orchestration.aws_iam_role_policy.flow", "infra/modules/orchestration/permissions.tf"),
}


@pytest.mark.parametrize("component", POLICIES)
def test_a_role_may_do_exactly_what_its_code_calls(dev: Plan, component: str) -> None:
    address, file = POLICIES[component]
    granted, calls = dev.granted(address), needed(component)
    assert calls
    missing = {action: sorted(p.name for p in paths) for action, paths in calls.items() if action not in granted}
    assert not missing, f"the code calls these: grant them in {file}, and in infra/bootstrap/boundary.tf"
    assert not granted - calls.keys(), f"no code calls these: take them out of {file}"


# Which table an adapter works on; of the others named here it only reads rows.
TABLES = {
    "tables/decisions.py": ("decisions",),
    "tables/labels.py": ("labels",),
    "tables/leases.py": ("leases",),
    "tables/profiles.py": ("profiles", "decisions"),
    "tables/tombstones.py": ("erasures",),
    "backfill/named.py": ("leases",),
    "erasure/decisions.py": ("decisions",),
    "erasure/labels.py": ("labels",),
    "erasure/profiles.py": ("profiles",),
    "review_queue.py": ("decisions",),
}
# The same call on each of several tables.
SEVERAL = {"erasure/restores.py": ("decisions", "labels", "profiles")}
BATCHES = {
    "read": "dynamodb:BatchGetItem",
    "write": "dynamodb:BatchWriteItem",
    "transact": "dynamodb:ConditionCheckItem",
}


def table_actions(path: Path) -> set[str]:
    """What an adapter does on its table: its own operations and the batch calls of `DynamoDB` it uses."""
    batches = {
        BATCHES[node.func.attr]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in BATCHES
        and text_of_name(node.func.value) == "_dynamodb"
    }
    return actions_of(path) | batches


def text_of_name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else ""


def test_each_table_may_be_used_by_flows_exactly_as_its_adapter_uses_it(dev: Plan) -> None:
    uses: dict[str, set[str]] = {}
    for path in modules("fraudline/adapters"):
        if "fraudline.adapters.aws.dynamodb" in set(_imports(path)) and table_actions(path):
            name = path.relative_to(REPO / "fraudline" / "adapters").as_posix()
            assert name in {*TABLES, *SEVERAL}, f"say in TABLES which table {name} works on"
            own, *read = TABLES.get(name, ("",))
            for table in SEVERAL.get(name, (own,)):
                uses.setdefault(table, set()).update(table_actions(path))
            for table in read:
                uses.setdefault(table, set()).add("dynamodb:BatchGetItem")
    policy = dev.policies()[POLICIES["flow"][0] + ".policy"]
    granted: dict[str, set[str]] = {}
    for statement in allowed(policy):
        for arn in as_list(statement["Resource"]):
            if ":table/" in arn:
                table = arn.split("/")[1].rsplit("-", 1)[1]
                granted.setdefault(table, set()).update(as_list(statement["Action"]))
    assert granted == uses


def test_the_calls_are_found_in_all_their_forms(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(
        "def work(self, client, table):\n"
        "    self._client.put_object(Bucket='b', Key='k')\n"
        "    client.get_paginator('list_objects_v2')\n"
        "    self._call('BatchGetItem', {})\n"
        "    self.text = f'UPDATE \"{table}\" SET a=?'\n"
        "    self._service.send('GET', '/', query)\n"
        "    {}.update(get_object=1)\n"
    )
    assert actions_of(tmp_path / "code.py") == {
        "s3:PutObject",
        "s3:ListBucket",
        "dynamodb:BatchGetItem",
        "dynamodb:PartiQLUpdate",
    }


def test_only_adapters_and_the_lambda_call_aws() -> None:
    """So nothing else needs a right; the local stack and the demo work on an emulator of their own."""
    calling = [path for path in modules("fraudline", "tasks", "flows") if actions_of(path)]
    assert calling
    allowed_to = {"adapters", "realtime", "local", "demo"}
    assert [path for path in calling if not allowed_to & set(path.relative_to(REPO).parts)] == []
