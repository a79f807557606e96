"""List prices of one region, from a dated file."""

import tomllib
from datetime import date
from pathlib import Path
from typing import Annotated

import msgspec

from fraudline.errors import BadInput

PRICES = Path(__file__).parents[2] / "data" / "prices" / "aws-us-east-1.toml"

Price = Annotated[float, msgspec.Meta(ge=0)]


class Kinesis(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    shard_hour: Price
    put_million: Price
    extended_shard_hour: Price
    stream_hour: Price
    gigabyte_in: Price
    gigabyte_out: Price
    extended_gigabyte_month: Price
    long_term_gigabyte_month: Price
    shard_metric_month: Price


class DynamoDB(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    write_million: Price
    read_million: Price
    gigabyte_month: Price
    recovery_gigabyte_month: Price


class S3(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    gigabyte_month: Price
    put_thousand: Price
    get_thousand: Price


class Lambda(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    request_million: Price
    gigabyte_second: Price


class Fargate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    cpu_hour: Price
    gigabyte_hour: Price


class Network(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    nat_hour: Price
    nat_gigabyte: Price
    address_hour: Price


class Database(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    instance_hour: Price
    gigabyte_month: Price


class CloudWatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alarm_month: Price
    dashboard_month: Price
    log_gigabyte: Price
    metric_month: Price


class Messages(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    publish_million: Price
    queue_million: Price


class Fixed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key_month: Price
    key_ten_thousand: Price
    secret_month: Price
    zone_month: Price


class Prices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """List prices of one region in US dollars, as they were on `as_of`."""

    as_of: date
    region: str
    kinesis: Kinesis
    dynamodb: DynamoDB
    s3: S3
    lambda_: Lambda = msgspec.field(name="lambda")
    fargate: Fargate
    network: Network
    database: Database
    cloudwatch: CloudWatch
    messages: Messages
    fixed: Fixed


def load_prices(path: Path = PRICES) -> Prices:
    """The prices in a file of the form of `data/prices/aws-us-east-1.toml`; `BadInput` names what is wrong in it."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text()), Prices)
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}; name a price file, see {PRICES.name}") from error
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: {error}; correct it, see {PRICES.name}") from error
