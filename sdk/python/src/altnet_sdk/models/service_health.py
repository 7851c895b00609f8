from typing import Literal

ServiceHealth = Literal['critical', 'passing', 'unknown', 'warning']

SERVICE_HEALTH_VALUES: set[ServiceHealth] = { 'critical', 'passing', 'unknown', 'warning',  }

def check_service_health(value: str) -> ServiceHealth:
    if value in SERVICE_HEALTH_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {SERVICE_HEALTH_VALUES!r}")
