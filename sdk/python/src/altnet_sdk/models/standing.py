from typing import Literal

Standing = Literal['down', 'new', 'up']

STANDING_VALUES: set[Standing] = { 'down', 'new', 'up',  }

def check_standing(value: str) -> Standing:
    if value in STANDING_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {STANDING_VALUES!r}")
