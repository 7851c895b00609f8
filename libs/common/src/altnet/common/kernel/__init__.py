"""The seam to the host: WireGuard devices, links, addresses, neighbours and routes.

`wireguard` and `links` say what the agent may ask for; `wg_netlink`, `wg_uapi` and `rtnetlink` do it on a real host,
`memory` in a dictionary. Nothing above this package knows which one it talks to.
"""
