"""How often BIRD is told what links cost. Pure.

Each telling makes a relay announce routes anew to every neighbour, so in a full mesh of n relays one round of all of
them is some 3 n³ updates. A host that starves, or starts, measures something else each second: told each time, 16
relays on one machine sent 190,000 updates to come up, 17 rounds. So a few changes are told at once, then one in ten
seconds with all that has changed meanwhile; and links that are new are told together, once all of them are measured.

Invariant: a link that begins to lose packets is told at once as long as changes are few.
"""

from __future__ import annotations

from typing import Final

from altnet.common.noise.rates import Rate

TOLD: Final = Rate(burst=3, per_second=0.1)
"""Tellings."""
PATIENCE: Final = 5.0
"""Seconds for a new link to be measured before the others are told without it."""
