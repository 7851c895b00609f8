from typing import Literal

PeerKind = Literal['client', 'relay']

PEER_KIND_VALUES: set[PeerKind] = { 'client', 'relay',  }

def check_peer_kind(value: str) -> PeerKind:
    if value in PEER_KIND_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {PEER_KIND_VALUES!r}")
