"""Structured logs: one event a line, with the request, trace and service that it belongs to.

Everything goes through the standard library's root logger, so that uvicorn, nats and SQLAlchemy speak in the same
form. `configure` is for a process's main; library code only calls `get` and `bound`.

Invariant: a field whose name looks like a secret's leaves this module hidden, and tracebacks carry no variables.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, TextIO

import structlog
from structlog.typing import Processor

HIDDEN: Final = "<hidden>"
_SECRET: Final = re.compile(
    r"(?:^|[_\-.])(?:seed|token|jwt|secret|password|passwd|authorization|cookie|psk|pre_?shared_?key|private_?key"
    r"|credentials?)$",
    re.IGNORECASE,
)
_QUIET: Final = ("asyncio", "httpx", "httpcore", "nats", "uvicorn.access")
"""They tell at INFO what our own lines tell already."""

Log = structlog.stdlib.BoundLogger


def configure(*, json: bool, level: str, stream: TextIO | None = None) -> None:
    """Send all logs to `stream` (standard error), as JSON lines or for people's eyes.

    `level` is a name such as `info`. May be called again; the last call holds. Raises `ValueError` for another level.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ValueError(f"not a log level: {level!r}; use debug, info, warning or error")
    _wire()
    rendering: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if json:
        rendering += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    else:
        colours = (stream or sys.stderr).isatty()
        # Plain: the rich formatter would print local variables, and secrets with them.
        plain = structlog.dev.plain_traceback
        rendering.append(structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=plain))
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=rendering, foreign_pre_chain=_shared()))
    handler.set_name("altnet")
    root = logging.getLogger()
    for old in [known for known in root.handlers if known.get_name() == "altnet"]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(number)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))


def get(name: str) -> Log:
    """A logger. Its methods take an event, a short constant sentence, and what belongs to it as fields."""
    if not structlog.is_configured():
        _wire()
    found: Log = structlog.stdlib.get_logger(name)
    return found


def bound(**fields: Any) -> AbstractContextManager[Any]:
    """Add fields to every line logged inside the `with`, in this task and the tasks that it starts."""
    return structlog.contextvars.bound_contextvars(**fields)


def bind(**fields: Any) -> None:
    """Add fields to every later line of this context (one request, one task)."""
    structlog.contextvars.bind_contextvars(**fields)


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """structlog processor: hide the values of fields that are named like secrets, at any depth."""
    for key in event:
        event[key] = _hide(key, event[key])
    return event


def _hide(key: object, value: Any) -> Any:
    if isinstance(key, str) and _SECRET.search(key):
        return HIDDEN
    if isinstance(value, Mapping):
        return {inner: _hide(inner, item) for inner, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
        return [_hide(None, item) for item in value]
    return value


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        redact,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    ]


def _wire() -> None:
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # a logger made at import must follow a later `configure`
    )
