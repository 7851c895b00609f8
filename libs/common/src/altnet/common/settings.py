"""Settings: frozen structs, read from a TOML file and overridden by the environment.

A part of Altnet describes its settings as a frozen `msgspec.Struct`, nested as it likes; every field has a unit and
a reason in its docstring. `load` fills it. Command-line flags are not handled here: they change the mapping that is
given as `env`.

Invariant: a setting that is misspelt or out of range stops the start with its name, and a secret never shows itself.
"""

from __future__ import annotations

import hmac
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from altnet.common.errors import Invalid

T = TypeVar("T")

_FILE_SUFFIX: Final = "_FILE"
_MISSING_FIELD: Final = re.compile(r"missing required field `([^`]+)`")
_PATH: Final = re.compile(r" - at `\$(.*)`$")
_IN_BRACKETS: Final = re.compile(r"^\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*\]")
"""An IPv6 address as in `[2001:db8::1]:8420`, which is not JSON."""
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\[\.\.\.\]")
_PARSED_TYPES: Final = (Path, IPv4Address, IPv6Address, IPv4Network, IPv6Network)


class Secret:
    """A text that does not show itself; `reveal()` is the only way to it, and easy to search for."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(<hidden>)"

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._text))


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where one part's settings come from; hand this to code that knows its own struct."""

    prefix: str
    env: Mapping[str, str]
    file: Path | None = None
    section: str | None = None

    def load(self, cls: type[T]) -> T:
        """See `load`."""
        return load(cls, prefix=self.prefix, env=self.env, file=self.file, section=self.section)


def load(
    cls: type[T], *, prefix: str, env: Mapping[str, str], file: Path | None = None, section: str | None = None
) -> T:
    """Read a settings struct: defaults, then the TOML `file` (its table `section` if given), then `env`.

    With `prefix` "ALTNET", the variable `ALTNET_DATABASE__HOST` sets the field `database.host`, and
    `ALTNET_DATABASE__PASSWORD_FILE` names a file that holds the value of `database.password`. A variable of a list
    is split at commas; one that starts with `[` or `{` is read as JSON. Variables whose first name is no field of
    `cls` are other parts' business and left alone; keys of the file and names inside a known table are checked.

    Raises `Invalid` (`bad_setting`), whose `field` is a JSON pointer (`/database/port`).
    """
    shape = msgspec.inspect.type_info(cls)
    if not isinstance(shape, msgspec.inspect.StructType):
        raise TypeError(f"{cls.__name__} is not a msgspec.Struct")
    prefix = prefix.rstrip("_") + "_"
    tree = _read_file(file, section) if file is not None else {}
    _refuse_unknown(tree, shape, ())
    _overlay(tree, shape, prefix, env)
    _fill_tables(tree, shape)
    try:
        return msgspec.convert(tree, type=cls, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        path, reason = _locate(str(error))
        raise _bad(reason, path, mend=_how_to_set(path, prefix, file, section)) from None


def _read_file(file: Path, section: str | None) -> dict[str, Any]:
    try:
        tree = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise _bad(f"{file} cannot be read: {error.strerror}.", ()) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _bad(f"{file} is not TOML: {error}.", ()) from None
    if section is None:
        return tree
    table = tree.get(section, {})
    if not isinstance(table, dict):
        raise _bad(f"{section} must be a table.", (section,), mend=f"Write [{section}] in {file}.")
    return table


def _overlay(tree: dict[str, Any], shape: msgspec.inspect.StructType, prefix: str, env: Mapping[str, str]) -> None:
    known = {field.encode_name for field in shape.fields}
    used: dict[tuple[str, ...], str] = {}
    for name in sorted(env):
        if not name.startswith(prefix):
            continue
        path = tuple(part.lower() for part in name.removeprefix(prefix).split("__"))
        text = env[name]
        leaf = _leaf(shape, path)
        if leaf is None and name.endswith(_FILE_SUFFIX):
            path = (*path[:-1], path[-1].removesuffix(_FILE_SUFFIX.lower()))
            leaf = _leaf(shape, path)
            text = _read_value(name, text, path) if leaf is not None else text
        if leaf is None:
            if len(path) > 1 and path[0] in known:
                raise _bad("there is no such setting.", path, mend=f"Check the spelling of {name}.")
            continue
        if path in used:
            raise _bad(f"{used[path]} and {name} both set it.", path, mend="Keep one of the two.")
        used[path] = name
        table = tree
        for step in path[:-1]:
            table = table.setdefault(step, {})
            if not isinstance(table, dict):
                raise _bad("is not a table in the file.", path[:-1])
        table[path[-1]] = _from_text(text, leaf, path, name)


def _read_value(name: str, where: str, path: tuple[str, ...]) -> str:
    try:
        return Path(where).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise _bad(f"{name} names {where}, which cannot be read: {reason}.", path) from None


def _from_text(text: str, leaf: msgspec.inspect.Type, path: tuple[str, ...], name: str) -> Any:
    options = _options(leaf)
    holds_text = any(isinstance(option, msgspec.inspect.StrType) for option in options)
    if text[:1] in ("[", "{") and not _IN_BRACKETS.match(text) and not holds_text:
        try:
            return msgspec.json.decode(text)
        except ValueError as error:
            raise _bad(f"{name} is not JSON: {error}.", path) from None
    sequences = (
        msgspec.inspect.ListType,
        msgspec.inspect.VarTupleType,
        msgspec.inspect.TupleType,
        msgspec.inspect.SetType,
        msgspec.inspect.FrozenSetType,
    )
    if any(isinstance(option, sequences) for option in options):
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _options(kind: msgspec.inspect.Type) -> tuple[msgspec.inspect.Type, ...]:
    if isinstance(kind, msgspec.inspect.Metadata):
        return _options(kind.type)
    if isinstance(kind, msgspec.inspect.UnionType):
        return tuple(option for member in kind.types for option in _options(member))
    return (kind,)


def _tables(kind: msgspec.inspect.Type) -> Iterable[msgspec.inspect.StructType]:
    return (option for option in _options(kind) if isinstance(option, msgspec.inspect.StructType))


def _leaf(shape: msgspec.inspect.StructType, path: tuple[str, ...]) -> msgspec.inspect.Type | None:
    """The type of the field at `path`, or None where there is none."""
    for field in shape.fields:
        if field.encode_name != path[0]:
            continue
        if len(path) == 1:
            return field.type
        return next((leaf for table in _tables(field.type) if (leaf := _leaf(table, path[1:])) is not None), None)
    return None


def _refuse_unknown(tree: Mapping[str, Any], shape: msgspec.inspect.StructType, at: tuple[str, ...]) -> None:
    fields = {field.encode_name: field for field in shape.fields}
    for key, value in tree.items():
        if key not in fields:
            known = ", ".join(sorted(fields))
            raise _bad("there is no such setting.", (*at, key), mend=f"Known here: {known}.")
        for option in _options(fields[key].type):
            if isinstance(option, msgspec.inspect.StructType) and isinstance(value, dict):
                _refuse_unknown(value, option, (*at, key))
            elif isinstance(option, msgspec.inspect.ListType | msgspec.inspect.VarTupleType):
                for number, item in enumerate(value if isinstance(value, list) else ()):
                    for table in _tables(option.item_type):
                        if isinstance(item, dict):
                            _refuse_unknown(item, table, (*at, key, str(number)))


def _fill_tables(tree: dict[str, Any], shape: msgspec.inspect.StructType) -> None:
    """Make missing required tables empty, so that an error names the field that is missing, not its table."""
    for field in shape.fields:
        if not isinstance(field.type, msgspec.inspect.StructType):
            continue
        if field.required:
            tree.setdefault(field.encode_name, {})
        if isinstance(tree.get(field.encode_name), dict):
            _fill_tables(tree[field.encode_name], field.type)


def _decode(kind: type[Any], value: object) -> object:
    if kind is Secret and isinstance(value, str | Secret):
        return Secret(value) if isinstance(value, str) else value
    if kind in _PARSED_TYPES and isinstance(value, str):
        return kind(value)
    raise ValueError(f"Expected text, got `{type(value).__name__}`")


def _locate(message: str) -> tuple[tuple[str, ...], str]:
    """Split msgspec's `reason - at `$.a.b`` into the path and the reason."""
    found = _PATH.search(message)
    path: list[str] = []
    if found:
        path = [name or number for name, number in _STEP.findall(found.group(1)) if name or number]
        message = message[: found.start()]
    if missing := _MISSING_FIELD.search(message):
        path.append(missing.group(1))
        message = "is required"
    return tuple(path), message if message.endswith(".") else f"{message}."


def _how_to_set(path: tuple[str, ...], prefix: str, file: Path | None, section: str | None) -> str:
    variable = prefix + "__".join(path).upper()
    if file is None:
        return f"Set {variable}."
    table = ".".join(part for part in (section, *path[:-1]) if part)
    return f"Set {variable}, or {path[-1] if path else 'it'} under [{table}] in {file}."


def _bad(reason: str, path: tuple[str, ...], *, mend: str | None = None) -> Invalid:
    pointer = "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in path)
    return Invalid("bad_setting", reason, field=pointer or None, mend=mend)
