"""Every error a person may see, named for who must act. The message is one sentence: the thing, then the remedy."""


class FraudlineError(Exception):
    """Something fraudline can name; the command line prints its sentence and exits with `exit_code`."""

    exit_code = 1


class BadInput(FraudlineError):
    """Whoever gave the file, option, contract or setting must correct it."""

    exit_code = 2


class NotReady(FraudlineError):
    """Something else has to happen first: a champion, mature labels, a stream, a table."""

    exit_code = 3


class Tampered(FraudlineError):
    """An artifact is not what its manifest says: do not use it, find out who changed it."""

    exit_code = 4


class Unavailable(FraudlineError):
    """A service did not answer after retries, or refused: whoever operates it must look; nothing was lost."""

    exit_code = 5


class LostRace(FraudlineError):
    """Another writer was first: drop this work and read again."""

    exit_code = 6
