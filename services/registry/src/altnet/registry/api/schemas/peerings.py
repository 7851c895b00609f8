"""Peerings with routers outside. A password goes in and never comes out."""

from __future__ import annotations

from typing import Annotated, ClassVar

from altnet.common.contracts import routing
from altnet.common.contracts.routing import Engine, Family, PrefixRule
from altnet.common.http.schema import Model
from altnet.common.settings import Secret
from altnet.registry.api.schemas.common import Id, Labels, Name, Patch, Time
from altnet.registry.api.schemas.sessions import Session
from altnet.registry.domain.peering_remarks import remarks
from altnet.registry.domain.sessions import Standing
from altnet.registry.handlers.peerings import NewPeering
from altnet.registry.store import peerings as store
from altnet.registry.tables import PeeringRow, PeeringStatusRow
from pydantic import Field, SecretStr

Address = Annotated[str, Field(max_length=64, examples=["2001:db8:1::1"])]
Source = Annotated[str, Field(max_length=64)]
Interface = Annotated[str, Field(max_length=15)]
Asn = Annotated[int, Field(ge=0, le=2**32 - 1, examples=[65010])]
Limit = Annotated[int, Field(ge=1, le=1_000_000)]
Multihop = Annotated[int, Field(ge=0, le=255)]
HoldTime = Annotated[int, Field(ge=3, le=65_535)]
RestartTime = Annotated[int, Field(ge=0, le=4095)]
Preference = Annotated[int, Field(ge=0, le=65_535)]
Length = Annotated[int, Field(ge=0, le=128)]
Password = Annotated[SecretStr, Field(min_length=1, max_length=80)]


class PrefixRuleIn(Model):
    """Prefixes inside `prefix` whose length is in `shortest` … `longest`."""

    prefix: Annotated[str, Field(max_length=64, examples=["2001:db8:2::/48"])]
    shortest: Length | None = None
    """Without it, the length of `prefix`."""
    longest: Length | None = None
    """Without it, `shortest`: exactly that length."""

    def rule(self) -> PrefixRule:
        _, _, length = self.prefix.partition("/")
        own = int(length) if length.isascii() and length.isdecimal() and len(length) <= 3 else _whole(self.prefix)
        shortest = own if self.shortest is None else self.shortest
        return PrefixRule(
            prefix=self.prefix, shortest=shortest, longest=shortest if self.longest is None else self.longest
        )


class PrefixRuleOut(Model):
    """Prefixes inside `prefix` whose length is in `shortest` … `longest`."""

    prefix: str
    shortest: int
    longest: int


Rules = Annotated[list[PrefixRuleIn], Field(max_length=256)]


class PeeringNew(Model):
    """A BGP session of one relay with a router outside (RFC 4271). What no rule names is refused, both ways."""

    name: Name
    relay: Id
    """Which relay holds the session; it stays so."""
    address: Address
    """The neighbour's."""
    asn: Asn
    """The neighbour's AS number."""
    interface: Interface = ""
    """For a link-local neighbour: the interface of the relay's host."""
    source: Source = ""
    """Our end; empty: what the routing table says."""
    local_asn: Asn | None = None
    """What we call ourselves; null: the relay's own private number."""
    families: Annotated[list[Family], Field(max_length=2)] | None = None
    """What the session carries; null: the address's own family."""
    imports: Rules = Field(default_factory=list)
    """What is accepted; empty: nothing."""
    exports: Rules = Field(default_factory=list)
    """What is announced; empty: nothing."""
    accept_everything: bool = False
    """Says aloud that import rules, one or all together, are as wide as the internet, or a default route."""
    announce_everything: bool = False
    """Says the same of export rules."""
    import_limit: Limit = 1000
    """Routes of one family; beyond it the session is taken down and tried again later."""
    export_limit: Limit = 1000
    password: Password | None = None
    """TCP MD5 (RFC 2385); sealed for the relay at once and never shown."""
    bfd: bool = False
    multihop: Multihop = 0
    """Most hops to the neighbour; 0: it is on a network of the host."""
    ttl_security: bool = False
    """RFC 5082: packets that were forwarded are refused."""
    passive: bool = False
    """Wait for the neighbour to connect."""
    hold_time: HoldTime = 90
    """Seconds."""
    restart_time: RestartTime = 120
    """Seconds for which routes outlive the neighbour's restart (RFC 4724); 0: they do not."""
    preference: Preference = 100
    """Among peerings that tell the same, the highest wins."""
    enabled: bool = True
    labels: Labels = Field(default_factory=dict)

    def command(self) -> NewPeering:
        families = self.families
        if families is None:
            families = [Family.IPV6 if ":" in self.address else Family.IPV4]
        wish = routing.Peering(
            id="",
            families=tuple(families),
            imports=tuple(rule.rule() for rule in self.imports),
            exports=tuple(rule.rule() for rule in self.exports),
            **{name: getattr(self, name) for name in store.PLAIN},
        )
        return NewPeering(
            relay=self.relay,
            wish=wish,
            password=None if self.password is None else Secret(self.password.get_secret_value()),
            accept_everything=self.accept_everything,
            announce_everything=self.announce_everything,
            labels=self.labels,
        )


class PeeringPatch(Patch):
    """What of a peering is to change. Its relay stays: make another one there."""

    nullable: ClassVar[frozenset[str]] = frozenset({"local_asn", "password"})

    name: Name | None = None
    address: Address | None = None
    asn: Asn | None = None
    interface: Interface | None = None
    source: Source | None = None
    local_asn: Asn | None = None
    """Null: the relay's own private number."""
    families: Annotated[list[Family], Field(max_length=2)] | None = None
    imports: Rules | None = None
    """Replaces all import rules."""
    exports: Rules | None = None
    """Replaces all export rules."""
    accept_everything: bool | None = None
    announce_everything: bool | None = None
    import_limit: Limit | None = None
    export_limit: Limit | None = None
    password: Password | None = None
    """Replaces the password; null removes it."""
    bfd: bool | None = None
    multihop: Multihop | None = None
    ttl_security: bool | None = None
    passive: bool | None = None
    hold_time: HoldTime | None = None
    restart_time: RestartTime | None = None
    preference: Preference | None = None
    enabled: bool | None = None
    labels: Labels | None = None
    """Replaces all labels."""

    def fields(self) -> dict[str, object]:
        """What was named, as the handler takes it."""
        found: dict[str, object] = {name: getattr(self, name) for name in self.model_fields_set}
        for name in ("imports", "exports"):
            if name in found:
                found[name] = [rule.rule() for rule in getattr(self, name)]
        if self.password is not None:
            found["password"] = Secret(self.password.get_secret_value())
        return found


class PeeringRemark(Model):
    """Something that its owner should know."""

    code: str
    field: str
    detail: str
    mend: str


class Peering(Model):
    """A peering, how its session is, and what is worth a word."""

    id: str
    network: str
    relay: str
    name: str
    address: str
    asn: int
    interface: str
    source: str
    local_asn: int | None
    families: list[Family]
    imports: list[PrefixRuleOut]
    exports: list[PrefixRuleOut]
    accept_everything: bool
    announce_everything: bool
    import_limit: int
    export_limit: int
    password_set: bool
    bfd: bool
    multihop: int
    ttl_security: bool
    passive: bool
    hold_time: int
    restart_time: int
    preference: int
    enabled: bool
    labels: dict[str, str]
    standing: Standing
    """Whether the session is up, judged with hysteresis; each turn is an event."""
    standing_since: Time
    session: Session | None
    """What the relay last said of it; null: nothing yet."""
    remarks: list[PeeringRemark]
    version: int
    created_at: Time
    updated_at: Time
    change: int | None = None
    """Number of the change that this request was."""

    @classmethod
    def of(
        cls,
        row: PeeringRow,
        status: PeeringStatusRow | None,
        session: Session | None,
        *,
        identity_key: str,
        engine: Engine,
        silent: bool,
        change: int | None = None,
    ) -> Peering:
        told = store.of_row(row)
        worth_a_word = remarks(
            told,
            engine=engine,
            accept_everything=row.accept_everything,
            announce_everything=row.announce_everything,
            password_lost=bool(row.password) and row.password_key != identity_key,
            silent=silent,
        )
        return cls(
            id=row.id,
            network=row.network_id,
            relay=row.relay_id,
            families=list(told.families),
            imports=[_shown(rule) for rule in told.imports],
            exports=[_shown(rule) for rule in told.exports],
            accept_everything=row.accept_everything,
            announce_everything=row.announce_everything,
            password_set=bool(row.password),
            labels=row.labels,
            standing=Standing(status.standing) if status else Standing.NEW,
            standing_since=status.since if status else row.created_at,
            session=session,
            remarks=[
                PeeringRemark(code=one.code, field=one.field, detail=one.detail, mend=one.mend) for one in worth_a_word
            ],
            version=row.version,
            created_at=row.created_at,
            updated_at=row.updated_at,
            change=change,
            **{name: getattr(row, name) for name in store.PLAIN},
        )


def _shown(rule: PrefixRule) -> PrefixRuleOut:
    return PrefixRuleOut(prefix=rule.prefix, shortest=rule.shortest, longest=rule.longest)


def _whole(prefix: str) -> int:
    """Without a length, the prefix is an address."""
    return 128 if ":" in prefix else 32
