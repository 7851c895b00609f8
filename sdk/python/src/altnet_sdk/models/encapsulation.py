from typing import Literal

Encapsulation = Literal['ip6gre', 'vxlan']

ENCAPSULATION_VALUES: set[Encapsulation] = { 'ip6gre', 'vxlan',  }

def check_encapsulation(value: str) -> Encapsulation:
    if value in ENCAPSULATION_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {ENCAPSULATION_VALUES!r}")
