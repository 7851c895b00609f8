"""`python -m altnet.client` is `altnetd`."""

import sys

from altnet.client.cli import main

sys.exit(main())
