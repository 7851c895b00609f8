"""What a site's prefixes may be, and where relays are reached.

A relay that is told of a prefix which covers the end of a tunnel leaves that prefix out (its agent and its BIRD do), so
it is refused here, with the reason, rather than taken and never reached. Leaves out who else has a prefix: Postgres and
peerings' rules know that. Invariant: what passes goes by the rule that relays go by (altnet.common.origins).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from altnet.common.errors import Conflict, Invalid
from altnet.common.net import Prefix, parse_prefix
from altnet.common.origins import check_origin, covered

MOST_PREFIXES: Final = 256


def check_prefixes(texts: Sequence[str]) -> list[Prefix]:
    """The prefixes, each once. Raises `Invalid` (`bad_prefix`) with the field."""
    if not 1 <= len(texts) <= MOST_PREFIXES:
        raise Invalid(
            "bad_prefix",
            f"a site has 1 to {MOST_PREFIXES} prefixes.",
            field="/prefixes",
            mend="Join neighbouring prefixes, or make a second site.",
        )
    fields = [f"/prefixes/{number}" for number in range(len(texts))]
    read = [parse_prefix(text, field=field) for text, field in zip(texts, fields, strict=True)]
    return list(dict.fromkeys(check_origin(prefix, field=field) for prefix, field in zip(read, fields, strict=True)))


def check_origins(prefixes: Iterable[Prefix], *, field: str) -> None:
    """Raises `Invalid` (`bad_prefix`). For prefixes that an earlier rule took, before another relay announces them."""
    for prefix in prefixes:
        check_origin(prefix, field=field)


def check_no_endpoint(prefixes: Sequence[Prefix], reached: Mapping[str, Sequence[str]], *, field: str) -> None:
    """Raises `Conflict` (`prefix_covers_endpoint`) where a relay is reached inside. `reached`: endpoints by name."""
    for prefix in prefixes:
        for relay, endpoints in reached.items():
            endpoint = covered(prefix, endpoints)
            if endpoint is not None:
                raise Conflict(
                    "prefix_covers_endpoint",
                    f"{prefix} covers {endpoint}, where the relay {relay} is reached: tunnels would run in themselves.",
                    field=field,
                    mend="Take that address out of the site's prefixes, or give the relay an endpoint outside them.",
                )


def check_endpoints_outside(endpoints: Sequence[str], prefixes: Iterable[Prefix], *, known: Sequence[str] = ()) -> None:
    """Raises `Conflict` (`endpoint_in_site`) for an endpoint inside one of the prefixes that sites announce.

    `known`: those that the relay has already, which are left as they are.
    """
    new = [endpoint for endpoint in endpoints if endpoint not in known]
    for prefix in prefixes:
        endpoint = covered(prefix, new)
        if endpoint is not None:
            raise Conflict(
                "endpoint_in_site",
                f"{endpoint} is inside {prefix}, which a site announces: relays would leave that prefix out.",
                field=f"/endpoints/{endpoints.index(endpoint)}",
                mend="Take that address out of the site's prefixes first, or name an endpoint outside them.",
            )
