"""Who acts, as histories and verdicts keep it."""

import getpass
import os


def whoami() -> str:
    """The login name; the user's number where there is none, as in a container that runs as any user."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # OSError from Python 3.13 on
        return f"uid {os.getuid()}"
