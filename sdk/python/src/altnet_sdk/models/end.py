from typing import Literal

End = Literal['delivered', 'forwarded', 'left', 'loop', 'no_answer', 'no_route', 'nobody', 'too_long', 'unreachable']

END_VALUES: set[End] = { 'delivered', 'forwarded', 'left', 'loop', 'no_answer', 'no_route', 'nobody', 'too_long', 'unreachable',  }

def check_end(value: str) -> End:
    if value in END_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {END_VALUES!r}")
