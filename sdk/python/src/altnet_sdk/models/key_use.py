from typing import Literal

KeyUse = Literal['signing', 'static']

KEY_USE_VALUES: set[KeyUse] = { 'signing', 'static',  }

def check_key_use(value: str) -> KeyUse:
    if value in KEY_USE_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {KEY_USE_VALUES!r}")
