"""The lab: a whole network on one host, in network namespaces of its own.

An "internet" of routers, relay hosts, a control host and clients behind home routers, with real packets and real
WireGuard. It is the demo, the test bed and the benchmark in one. Reading order: `topology` (what there is),
`render` (the commands that make it), `network` (making it so), `launcher` (processes), `lab` (the verbs).

Invariant: nothing outside the lab's own namespaces and its own directory is changed, unless a user asks for
`--tune-host`.
"""
