from typing import Literal

HostKeyUse = Literal['access', 'mesh', 'signing', 'static']

HOST_KEY_USE_VALUES: set[HostKeyUse] = { 'access', 'mesh', 'signing', 'static',  }

def check_host_key_use(value: str) -> HostKeyUse:
    if value in HOST_KEY_USE_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {HOST_KEY_USE_VALUES!r}")
