"""The registry: networks, relays, clients, services, addresses, and the plan that every relay follows.

`altnet.registry.service.service` describes it to whoever hosts it; services/registry/README.md is the map.
"""
