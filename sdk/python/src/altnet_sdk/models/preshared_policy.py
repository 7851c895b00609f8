from typing import Literal

PresharedPolicy = Literal['off', 'on', 'required']

PRESHARED_POLICY_VALUES: set[PresharedPolicy] = { 'off', 'on', 'required',  }

def check_preshared_policy(value: str) -> PresharedPolicy:
    if value in PRESHARED_POLICY_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {PRESHARED_POLICY_VALUES!r}")
