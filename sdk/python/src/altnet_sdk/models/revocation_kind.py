from typing import Literal

RevocationKind = Literal['api_token', 'client', 'join_token', 'key', 'relay']

REVOCATION_KIND_VALUES: set[RevocationKind] = { 'api_token', 'client', 'join_token', 'key', 'relay',  }

def check_revocation_kind(value: str) -> RevocationKind:
    if value in REVOCATION_KIND_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {REVOCATION_KIND_VALUES!r}")
