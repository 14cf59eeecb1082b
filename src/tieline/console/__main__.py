"""`python -m tieline.console`: the platform with its web pages."""

import sys

from tieline.cloud.api.server import main
from tieline.console.app import install

sys.exit(main(mount=install))
