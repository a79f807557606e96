"""The OpenAPI description, and the function held to it by schemathesis."""

import io
from functools import lru_cache
from pathlib import Path

import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from fraudline import realtime
from fraudline.contract import load_contract
from fraudline.model.bundle import ReadFile
from fraudline.realtime.config import config_from
from fraudline.realtime.function import Function
from fraudline.realtime.model import Models
from fraudline.realtime.openapi import openapi, to_json
from fraudline.realtime.ports import NoRecorder
from fraudline.realtime.telemetry import Telemetry
from tests.realtime.bundles import bundle_files, version_of
from tests.realtime.gateway import Gateway
from tests.realtime.nobody import NoProfiles

SHIPPED = Path(str(realtime.__file__)).with_name("openapi.json")
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


class InMemory:
    """A source of one version that lies nowhere."""

    def wanted(self) -> str:
        return version_of(bundle_files())

    def files(self, version: str) -> ReadFile:
        return bundle_files().__getitem__


@lru_cache(maxsize=1)
def function() -> Function:
    telemetry = Telemetry("test", "ecommerce", io.StringIO())
    models = Models(InMemory(), "ecommerce", telemetry)
    models.refresh()
    return Function(config_from({}), models, NoProfiles(), NoRecorder(), telemetry)


gateway = Gateway(lambda event: function().answer(event, None), SHIPPED.read_bytes())
score = schemathesis.openapi.from_wsgi("/openapi.json", gateway)["/"]["POST"]
modes = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]


@given(st.one_of(*(score.as_strategy(generation_mode=mode) for mode in modes)))
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_function_keeps_its_description_whatever_it_is_sent(case: schemathesis.Case) -> None:
    case.validate_response(case.call(), checks=CHECKS)


def test_the_shipped_description_is_that_of_the_default_contract() -> None:
    assert to_json(openapi(load_contract("ecommerce"))) == SHIPPED.read_bytes()


def test_another_contract_describes_its_own_columns() -> None:
    transaction = openapi(load_contract("cards"))["components"]["schemas"]["Transaction"]
    assert set(transaction["required"]) == {
        *("TRANSACTION_ID", "TX_DATETIME", "TX_AMOUNT", "CUSTOMER_ID", "TERMINAL_ID")
    }
