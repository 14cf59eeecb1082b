"""`python -m tieline.integration.worker`: one process that runs rules, told and asked on its standard input."""

import uvloop

from tieline.integration.worker.serve import main

uvloop.run(main())
