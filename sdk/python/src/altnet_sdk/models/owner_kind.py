from typing import Literal

OwnerKind = Literal['address', 'client', 'relay']

OWNER_KIND_VALUES: set[OwnerKind] = { 'address', 'client', 'relay',  }

def check_owner_kind(value: str) -> OwnerKind:
    if value in OWNER_KIND_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {OWNER_KIND_VALUES!r}")
