"""The search for cyclic garbage, told what a long-lived process loads once and keeps.

While modules are loaded and parts are made, hundreds of thousands of objects come that stay, and the collector looks
through them again and again for nothing: about a sixth of the processor time of a start. Leaves out how often it looks
later. Invariant: after `settle` the collector is on, and passes by what was there.
"""

from __future__ import annotations

import gc


def grow() -> None:
    """From here on what is made stays: the collector rests until `settle`."""
    gc.disable()


def settle(*, collect: bool = True) -> None:
    """The start is over. Cycles that it left are dropped; the rest is not looked through any more (`gc.freeze`).

    Without `collect` they stay, for a command that ends sooner than they would be found.
    """
    if collect:
        gc.collect()
    gc.freeze()
    gc.enable()
