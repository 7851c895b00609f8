from typing import Literal

Why = Literal['digest_differs', 'down', 'late', 'never_heard', 'nothing_applied', 'objects_failed', 'older_generation', 'on_its_way']

WHY_VALUES: set[Why] = { 'digest_differs', 'down', 'late', 'never_heard', 'nothing_applied', 'objects_failed', 'older_generation', 'on_its_way',  }

def check_why(value: str) -> Why:
    if value in WHY_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {WHY_VALUES!r}")
