"""Benches: what the product costs, each number beside a named alternative that was measured in the same run.

`python -m tests.bench --help`. Leaves out pass or fail: the suites assert, this prints.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # as pytest does: `support` and `bench` are imported by these names
