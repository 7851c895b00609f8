from typing import Literal

WaitFor = Literal['applied']

WAIT_FOR_VALUES: set[WaitFor] = { 'applied',  }

def check_wait_for(value: str) -> WaitFor:
    if value in WAIT_FOR_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {WAIT_FOR_VALUES!r}")
