"""What AWS refuses, said in a sentence and named for who must act."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
)

from fraudline.errors import BadInput, FraudlineError, NotReady, Unavailable

_MISSING = {
    "NoSuchBucket",
    "ResourceNotFoundException",
    "NotFoundException",
    "QueueDoesNotExist",
    "AWS.SimpleQueueService.NonExistentQueue",
}
_DENIED = {
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationError",
    "UnauthorizedOperation",
    "403",
    "KMSAccessDeniedException",
}
_CREDENTIALS = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}


@contextmanager
def explained(thing: str) -> Iterator[None]:
    """Name what the block works on: an AWS error that escapes it becomes a `FraudlineError` about `thing`.

    Errors that mean something to the caller (a lost condition, a throttle) are to be caught inside the block.
    """
    try:
        yield
    except ClientError as error:
        raise _refusal(thing, error) from error
    except (NoCredentialsError, PartialCredentialsError, ProfileNotFound) as error:
        raise Unavailable(f"no AWS credentials for {thing}: {error}; set AWS_PROFILE or run on a role") from error
    except BotoCoreError as error:
        raise Unavailable(f"{thing} did not answer: {error}; check AWS_ENDPOINT_URL and the network") from error


def error_code(error: ClientError) -> str:
    """AWS's own code of an error, such as `ConditionalCheckFailedException`."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _refusal(thing: str, error: ClientError) -> FraudlineError:
    code, operation = error_code(error), error.operation_name
    if code in _MISSING:
        return NotReady(f"{thing} does not exist: create it (docs/deployment-guide.md) or correct its name")
    if code in _DENIED:
        return BadInput(f"no permission for {operation} on {thing}: grant it to this role")
    if code in _CREDENTIALS:
        return Unavailable(f"AWS does not accept the credentials for {thing} ({code}): renew them")
    message = error.response.get("Error", {}).get("Message", "")
    return Unavailable(f"{operation} on {thing} failed after retries: {code} {message}".rstrip())
