from typing import Literal

Family = Literal['ipv4', 'ipv6']

FAMILY_VALUES: set[Family] = { 'ipv4', 'ipv6',  }

def check_family(value: str) -> Family:
    if value in FAMILY_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {FAMILY_VALUES!r}")
