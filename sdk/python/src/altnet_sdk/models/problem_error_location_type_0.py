from typing import Literal

ProblemErrorLocationType0 = Literal['body', 'cookie', 'header', 'path', 'query']

PROBLEM_ERROR_LOCATION_TYPE_0_VALUES: set[ProblemErrorLocationType0] = { 'body', 'cookie', 'header', 'path', 'query',  }

def check_problem_error_location_type_0(value: str) -> ProblemErrorLocationType0:
    if value in PROBLEM_ERROR_LOCATION_TYPE_0_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {PROBLEM_ERROR_LOCATION_TYPE_0_VALUES!r}")
