"""Looking for secrets where none may be: each in every way in which somebody might have written it down.

Invariant: a secret is looked for whole; what is shorter than 16 bytes is refused, since it would be found by chance.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass
class Secrets:
    """Named secrets, and places where they may not be."""

    forms: dict[bytes, str] = field(default_factory=dict)

    def add(self, name: str, secret: bytes) -> None:
        """Bytes: as they are, in hexadecimal, in base64."""
        assert len(secret) >= 16, f"{name} is too short to be looked for"
        base = base64.b64encode(secret).rstrip(b"=")
        web = base64.urlsafe_b64encode(secret).rstrip(b"=")
        for form in (secret, secret.hex().encode(), secret.hex().upper().encode(), base, web):
            self.forms[form] = name

    def add_text(self, name: str, text: str) -> None:
        """A text as it is and as above, and the bytes that it stands for where it is base64."""
        self.add(name, text.encode())
        try:
            raw = base64.b64decode(text, validate=True)
        except ValueError:
            return
        if len(raw) >= 16:
            self.add(name, raw)

    def add_all(self, who: str, texts: Mapping[str, str]) -> None:
        for name, text in texts.items():
            if text:
                self.add_text(f"{who}'s {name}", text)

    def found_in(self, place: str, pieces: Iterable[bytes]) -> list[str]:
        """What is there, by name, and where; never the secret itself."""
        whole = b"\n".join(pieces)
        return sorted({f"{name} is in {place}" for form, name in self.forms.items() if form in whole})
