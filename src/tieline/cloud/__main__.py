"""`python -m tieline.cloud`: the platform alone."""

import sys

from tieline.cloud.api.server import main

sys.exit(main())
