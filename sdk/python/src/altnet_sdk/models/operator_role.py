from typing import Literal

OperatorRole = Literal['admin', 'auditor', 'owner']

OPERATOR_ROLE_VALUES: set[OperatorRole] = { 'admin', 'auditor', 'owner',  }

def check_operator_role(value: str) -> OperatorRole:
    if value in OPERATOR_ROLE_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {OPERATOR_ROLE_VALUES!r}")
