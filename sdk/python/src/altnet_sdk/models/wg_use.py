from typing import Literal

WgUse = Literal['access', 'mesh']

WG_USE_VALUES: set[WgUse] = { 'access', 'mesh',  }

def check_wg_use(value: str) -> WgUse:
    if value in WG_USE_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {WG_USE_VALUES!r}")
