"""What is expected of the data beyond its contract: Great Expectations suites as JSON, a folder for each contract.

A suite is drafted with `fraudline quality suite --contract ...` and then edited by hand, under review like code.
"""

from expectations.loader import load_suite, suite_path, where_to_correct, write_draft

__all__ = ["load_suite", "suite_path", "where_to_correct", "write_draft"]
