"""Puts the function together from its environment: once a process, while Lambda gives the start its full speed."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from fraudline.realtime.aws import Service, place_of
from fraudline.realtime.config import Config, config_from
from fraudline.realtime.dynamodb import DynamoDB
from fraudline.realtime.function import Function
from fraudline.realtime.model import CHAMPION, PACKAGED_MODEL, Models, Packaged, Registered
from fraudline.realtime.ports import NoRecorder
from fraudline.realtime.profiles import StoredProfiles
from fraudline.realtime.recorder import DecisionRecorder
from fraudline.realtime.telemetry import Telemetry


def start(environment: Mapping[str, str], packaged: Path = PACKAGED_MODEL) -> Function:
    """The function, with its model if there is one to be had; `BadInput` if a setting is malformed."""
    # Nothing here multiplies matrices, and numpy's library would start a thread for each processor all the same: that
    # costs a tenth of the cold start of trees.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    config = config_from(environment)
    telemetry = Telemetry(config.environment, config.contract)
    dynamodb = DynamoDB(Service(place_of("dynamodb", environment)))
    profiles = StoredProfiles(dynamodb, config.profiles_table, config.decisions_table)
    # The connection opens while the model loads.
    profiles.connect()
    recorder = DecisionRecorder(dynamodb, config.decisions_table, config.keep_days) if config.records else NoRecorder()
    return Function(config, _models(config, environment, packaged, telemetry), profiles, recorder, telemetry)


def _models(config: Config, environment: Mapping[str, str], packaged: Path, telemetry: Telemetry) -> Models:
    if config.model is None and packaged.is_dir():
        models = Models(Packaged(packaged), config.contract, telemetry)
        models.refresh()
    else:
        models = Models(_registered(config, environment), config.contract, telemetry)
        models.refresh()
        models.follow()
    return models


def _registered(config: Config, environment: Mapping[str, str]) -> Registered:
    # A function with its model in the package needs none of these.
    from fraudline.adapters.registry import Registry
    from fraudline.adapters.storage.objects import Objects
    from fraudline.realtime.s3 import S3Reader

    # To look up and read, the registry calls no other method than the reader has.
    objects = cast(Objects, S3Reader(place_of("s3", environment), config.models_bucket))
    return Registered(Registry(objects, config.contract), config.model or CHAMPION)
