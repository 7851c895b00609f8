from typing import Literal

OnSilence = Literal['leave', 'roll_back']

ON_SILENCE_VALUES: set[OnSilence] = { 'leave', 'roll_back',  }

def check_on_silence(value: str) -> OnSilence:
    if value in ON_SILENCE_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {ON_SILENCE_VALUES!r}")
