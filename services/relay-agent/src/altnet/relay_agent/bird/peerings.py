"""Sessions with routers outside, as blocks of BIRD's configuration. The seam for them; none is rendered yet.

`render_peering` gives the block of one peering: a protocol whose name begins with `p`, whose import filter sets
`altnet_from = 2` on what it accepts (the mesh then gets it with an empty path, as this relay's own), and which never
exports what a rule of the peering does not name. A peering that cannot be rendered fails alone.
"""

from __future__ import annotations

from altnet.common.contracts.routing import Peering
from altnet.common.errors import Invalid
from altnet.relay_agent.bird.pieces import RoutingHost


def render_peering(host: RoutingHost, peering: Peering) -> str:
    """The block of one peering. Raises `Invalid` where it cannot be had."""
    raise Invalid(
        "peering_unsupported",
        f"this agent (slot {host.slot}) cannot peer with routers outside yet.",
        field=f"/peerings/{peering.id}",
        mend="Update the agent, or disable the peering.",
    )
