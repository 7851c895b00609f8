"""`python -m altnet.relay_agent`."""

import sys

from altnet.relay_agent.cli import main

sys.exit(main())
