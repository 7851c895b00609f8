"""Names and labels that people give. Names become DNS labels, so they obey RFC 1123 §2.1 in lower case.

Leaves out uniqueness: Postgres holds that (table `names`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from altnet.common.errors import Invalid

LONGEST_NAME: Final = 63
MOST_LABELS: Final = 32

_LDH: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")
_LABEL_KEY: Final = re.compile(r"[a-z0-9](?:[a-z0-9._/-]{0,61}[a-z0-9])?\Z")
_LABEL_VALUE: Final = re.compile(r"[A-Za-z0-9._:/-]{0,63}\Z")


def check_name(text: str, *, field: str = "/name") -> str:
    """Return `text` if it is a DNS label: letters, digits, hyphens, lower case. Raises `Invalid` (`bad_name`)."""
    if not _LDH.match(text):
        raise Invalid(
            "bad_name",
            "a name is one DNS label: a-z, 0-9 and hyphens, 1 to 63 characters, no hyphen at either end.",
            field=field,
            mend="Write it in lower case without dots, like berlin-1.",
        )
    if text[2:4] == "--":
        raise Invalid(
            "bad_name",
            "hyphens in third and fourth place are reserved for internationalised names (RFC 5891 §4.2.3.1).",
            field=field,
            mend="Leave out one of the two hyphens.",
        )
    return text


def name_from(text: str) -> str | None:
    """A name made of free text (a host name, say), or None where nothing usable is left of it."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower().split(".")[0]).strip("-")[:LONGEST_NAME].strip("-")
    return name or None


def check_labels(labels: Mapping[str, str], *, field: str = "/labels") -> dict[str, str]:
    """Return the labels if every key and value is short and plain. Raises `Invalid` (`bad_label`)."""
    if len(labels) > MOST_LABELS:
        raise Invalid("bad_label", f"more than {MOST_LABELS} labels.", field=field, mend="Leave some out.")
    for key, value in labels.items():
        if not _LABEL_KEY.match(key):
            raise Invalid(
                "bad_label",
                "a label's key has 1 to 63 of a-z, 0-9, '.', '_', '/' and '-', a letter or digit at both ends.",
                field=field,
                mend="Rename it, like site or rack/row.",
            )
        if not _LABEL_VALUE.match(value):
            raise Invalid(
                "bad_label",
                "a label's value has at most 63 of letters, digits, '.', '_', ':', '/' and '-'.",
                field=f"{field}/{key.replace('~', '~0').replace('/', '~1')}",
                mend="Shorten it or leave out other characters.",
            )
    return dict(labels)


def check_region(text: str, *, field: str = "/region") -> str:
    """Return `text` if it is empty or a plain word. Raises `Invalid` (`bad_region`)."""
    if text and not re.match(r"[a-z0-9][a-z0-9.-]{0,62}\Z", text):
        raise Invalid(
            "bad_region",
            "a region is a word of a-z, 0-9, '.' and '-', at most 63 characters.",
            field=field,
            mend="Write it like eu-central.",
        )
    return text
