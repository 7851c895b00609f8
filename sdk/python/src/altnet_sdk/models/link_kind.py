from typing import Literal

LinkKind = Literal['drained', 'mesh', 'near', 'path', 'region', 'shortcut']

LINK_KIND_VALUES: set[LinkKind] = { 'drained', 'mesh', 'near', 'path', 'region', 'shortcut',  }

def check_link_kind(value: str) -> LinkKind:
    if value in LINK_KIND_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {LINK_KIND_VALUES!r}")
