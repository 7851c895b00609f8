from typing import Literal

RelayState = Literal['active', 'draining']

RELAY_STATE_VALUES: set[RelayState] = { 'active', 'draining',  }

def check_relay_state(value: str) -> RelayState:
    if value in RELAY_STATE_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {RELAY_STATE_VALUES!r}")
