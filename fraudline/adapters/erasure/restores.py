"""For how long a table may be restored to a moment at which it still told of a person."""

from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.erasure.rows import call_deadline

# DynamoDB's own, where the table was given no other and its description names none.
DEFAULT_DAYS = 35


def restorable_days(dynamodb: DynamoDB, table: str) -> int:
    """How many days back the table's point-in-time recovery reaches; 0 without."""
    answer = dynamodb.single("DescribeContinuousBackups", table, {}, call_deadline())
    recovery = answer["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
    if recovery.get("PointInTimeRecoveryStatus") != "ENABLED":
        return 0
    return int(recovery.get("RecoveryPeriodInDays", DEFAULT_DAYS))
