"""Hides the emulator's own packages from a Lambda function: set PYTHONPATH to this folder in its environment.

The emulator runs functions on its own interpreter, whose site-packages hold botocore, urllib3, PyYAML and more. A
package that forgot one of them must fail here, as it would on AWS.
"""

import sys

sys.path[:] = [path for path in sys.path if "site-packages" not in path]
