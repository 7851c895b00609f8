from typing import Literal

Engine = Literal['bird', 'static']

ENGINE_VALUES: set[Engine] = { 'bird', 'static',  }

def check_engine(value: str) -> Engine:
    if value in ENGINE_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {ENGINE_VALUES!r}")
