"""The records of pairs on the disk: one private file for each neighbour, so that one exchange writes one.

A file that cannot be read is set aside: the pair then begins with nothing, and the two ends find out by themselves.
Invariant: no secret enters an error or a log.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
from altnet.common.errors import AltnetError
from altnet.common.files import open_private_dir, read, remove, set_aside, write_private
from altnet.relay_agent.psk.keys import PSK_BYTES
from altnet.relay_agent.psk.pair import Record


class PairFiles:
    """`pairs/<relay>.json` below the state directory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, warn: list[str]) -> dict[str, Record]:
        """Every record that can be read."""
        if not self._folder.exists():
            return {}
        open_private_dir(self._folder)
        found: dict[str, Record] = {}
        for path in sorted(self._folder.glob("*.json")):
            try:
                data = read(path)
                if data is not None:
                    found[path.stem] = _checked(msgspec.json.decode(data, type=Record))
            except (AltnetError, msgspec.DecodeError, ValueError):  # the reason could quote a key
                aside = set_aside(path)
                warn.append(f"pairs/{path.name}: it holds no pre-shared key; kept as {aside.name}")
        return found

    def save(self, relay: str, record: Record | None) -> None:
        """Keep it durably, or forget it. Raises `Unavailable`."""
        path = self._folder / f"{relay}.json"
        if record is not None:
            open_private_dir(self._folder)
            write_private(path, msgspec.json.encode(record))
        elif path.exists():
            remove(path)


def loaded_psks(records: Mapping[str, Record]) -> dict[str, bytes]:
    """The keys that the devices are to have, where there is one."""
    return {relay: record.present.psk for relay, record in records.items() if record.present.psk}


def _checked(record: Record) -> Record:
    for key in (record.present, record.spare):
        if key is not None and len(key.psk) not in (0, PSK_BYTES):
            raise ValueError("no pre-shared key")
    return record
