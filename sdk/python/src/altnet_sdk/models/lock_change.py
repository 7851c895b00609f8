from typing import Literal

LockChange = Literal['authorities', 'disable', 'enable', 'init', 'owners']

LOCK_CHANGE_VALUES: set[LockChange] = { 'authorities', 'disable', 'enable', 'init', 'owners',  }

def check_lock_change(value: str) -> LockChange:
    if value in LOCK_CHANGE_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {LOCK_CHANGE_VALUES!r}")
