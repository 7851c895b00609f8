from typing import Literal

Health = Literal['down', 'late', 'new', 'up']

HEALTH_VALUES: set[Health] = { 'down', 'late', 'new', 'up',  }

def check_health(value: str) -> Health:
    if value in HEALTH_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {HEALTH_VALUES!r}")
