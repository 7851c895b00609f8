"""A Noise channel between a host and a service: handshake, sessions, and the keys that hosts pin.

Everything in here is pure: bytes in, bytes out, the time is given. `altnet.common.bus.channel` carries it over the
bus, `services/keyd` answers it.
"""
