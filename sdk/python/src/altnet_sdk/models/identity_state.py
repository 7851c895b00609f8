from typing import Literal

IdentityState = Literal['active', 'expected', 'pending', 'revoked']

IDENTITY_STATE_VALUES: set[IdentityState] = { 'active', 'expected', 'pending', 'revoked',  }

def check_identity_state(value: str) -> IdentityState:
    if value in IDENTITY_STATE_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {IDENTITY_STATE_VALUES!r}")
