"""The function's OpenAPI description, derived from a contract; `openapi.json` is that of the default one.

python -m fraudline.realtime.openapi > fraudline/realtime/openapi.json
"""

import sys
from typing import Any

import msgspec

from fraudline.contract import Category, Contract, load_contract
from fraudline.realtime.answers import Answer, Refusal
from fraudline.realtime.events import MAX_TRANSACTIONS
from fraudline.transactions.validation import MAX_ID_LENGTH, MAX_TEXT_LENGTH

Schema = dict[str, Any]

_REFUSALS = {
    "400": "Something is wrong with the request: the fields and the reasons.",
    "409": "The transaction's id is taken by an earlier one with other values.",
    "413": "The body, a transaction or the batch is too large.",
    "503": "There is no model or it failed: try again after a while, and until then do as `is_fraud` says.",
}


def openapi(contract: Contract) -> Schema:
    """An OpenAPI 3.1 document for a contract's transactions."""
    _, components = msgspec.json.schema_components([Answer, Refusal], ref_template="#/components/schemas/{name}")
    components["Transaction"] = _transaction(contract)
    return {
        "openapi": "3.1.0",
        "info": {"title": f"fraudline: {contract.name}", "version": "1", "description": contract.description},
        "paths": {"/": {"post": _operation()}},
        "components": {"schemas": components},
    }


def to_json(description: Schema) -> bytes:
    """The document as the file has it."""
    return msgspec.json.format(msgspec.json.encode(description), indent=2) + b"\n"


def _operation() -> Schema:
    refusals = {
        status: {"description": text, "content": _json(_ref("Refusal"))} | _retry(status)
        for status, text in _REFUSALS.items()
    }
    return {
        "operationId": "score",
        "summary": "Score one transaction, or up to a hundred.",
        "requestBody": {"required": True, "content": _json({"oneOf": [_single(), _batch()]})},
        "responses": {"200": {"description": "Scored.", "content": _json(_scored())}, **refusals},
    }


def _single() -> Schema:
    return _object({"transaction_data": _ref("Transaction")})


def _batch() -> Schema:
    items = {"type": "array", "minItems": 1, "maxItems": MAX_TRANSACTIONS, "items": _ref("Transaction")}
    return _object({"transactions": items})


def _scored() -> Schema:
    """One decision, or an item for each transaction of a batch with a status of its own."""
    status = _object({"status": {"type": "integer"}})
    item = {"allOf": [status, {"anyOf": [_ref("Answer"), _ref("Refusal")]}]}
    return {"anyOf": [_ref("Answer"), _object({"answers": {"type": "array", "items": item}})]}


def _transaction(contract: Contract) -> Schema:
    """What `validate` takes, as far as a schema can say it."""
    identifier = {"type": "string", "minLength": 1, "maxLength": MAX_ID_LENGTH}
    amount = {
        "type": "number",
        "minimum": contract.amount.min,
        "maximum": contract.amount.max,
        "description": f"{contract.amount.currency}, whole 1/{contract.amount.minor_units}",
    }
    properties: Schema = {
        contract.id.column: identifier,
        contract.timestamp.column: {"type": "string", "format": "date-time"},
        contract.amount.column: amount,
        **{entity.column: identifier for entity in contract.entities},
        **{category.column: _category(category) for category in contract.categories},
        **{flag.column: {"enum": [0, 1, False, True]} for flag in contract.flags},
    }
    nullable = {category.column for category in contract.categories if category.nullable}
    schema = _object(properties)
    return {**schema, "required": [name for name in properties if name not in nullable]}


def _category(category: Category) -> Schema:
    if category.values:
        return {"enum": [*category.values, *((None,) if category.nullable else ())]}
    kind = ["string", "null"] if category.nullable else "string"
    return {"type": kind, "minLength": 1, "maxLength": MAX_TEXT_LENGTH}


def _object(properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _retry(status: str) -> Schema:
    if status != "503":
        return {}
    return {"headers": {"retry-after": {"schema": {"type": "string"}, "description": "Seconds."}}}


if __name__ == "__main__":
    sys.stdout.buffer.write(to_json(openapi(load_contract("ecommerce"))))
