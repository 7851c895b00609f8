"""Which routers outside a test is run against: all of them in `make soak`, some of them every time.

Each router speaks BGP with us every time (sessions, filters, passwords). Restarts, flaps, limits, IPv4 and BFD are
tried with one of them, another one in each test, to save minutes: where the others differ there, `make soak` alone
sees it.
"""

from __future__ import annotations

from typing import Final

import pytest

from support.outside import Outside
from support.outside_bird import OutsideBird
from support.outside_frr import Frr
from support.outside_gobgp import GoBgp

ROUTERS: Final[dict[str, type[Outside]]] = {"frr": Frr, "gobgp": GoBgp, "bird": OutsideBird}

every = pytest.mark.parametrize("kind", ROUTERS)


def each_time(*named: str, among: tuple[str, ...] = tuple(ROUTERS)) -> pytest.MarkDecorator:
    """With these routers every time, and with the others of `among` in `make soak`."""
    others = (pytest.param(kind, marks=pytest.mark.soak) for kind in among if kind not in named)
    return pytest.mark.parametrize("kind", [*named, *others])
