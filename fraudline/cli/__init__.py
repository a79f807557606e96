"""The `fraudline` command: the outermost ring. It imports flows when a command needs them, and runs them in-process."""

from fraudline.cli.app import main

__all__ = ["main"]
