from typing import Literal

RotationPhase = Literal['back', 'connect', 'done', 'drain', 'keep', 'prepare', 'rolled_back']

ROTATION_PHASE_VALUES: set[RotationPhase] = { 'back', 'connect', 'done', 'drain', 'keep', 'prepare', 'rolled_back',  }

def check_rotation_phase(value: str) -> RotationPhase:
    if value in ROTATION_PHASE_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {ROTATION_PHASE_VALUES!r}")
