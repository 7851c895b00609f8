"""Revocations, keys that stay revoked, and numbers of security events.

Revision ID: 0010
Revises: 0009

A revoked key is in `revoked_keys` and stays in `keys`, where keys are unique: a trigger keeps it there, as nobody's,
when its holder lets go of it. So whatever code releases keys, nobody can claim it again.
"""

from alembic import op
from altnet.common.db import numbers

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

STATEMENTS = (
    numbers.table("registry"),
    """
    CREATE TABLE registry.revocations (
        id text PRIMARY KEY,
        kind text NOT NULL
            CONSTRAINT revocations_kind_check CHECK (kind IN ('relay', 'client', 'key', 'join_token', 'api_token')),
        subject text NOT NULL DEFAULT '',
        network_id text REFERENCES registry.networks,
        name text NOT NULL DEFAULT '',
        key text NOT NULL DEFAULT '',
        use text NOT NULL DEFAULT '',
        reason text NOT NULL DEFAULT '',
        revoked_by text NOT NULL,
        revoked_at timestamptz NOT NULL,
        change bigint,
        CONSTRAINT revocations_what_check CHECK (subject <> '' OR key <> '')
    )
    """,
    "CREATE INDEX revocations_subject ON registry.revocations (subject)",
    "CREATE INDEX revocations_key ON registry.revocations (key) WHERE key <> ''",
    """
    CREATE TABLE registry.revoked_keys (
        key text PRIMARY KEY,
        revoked_at timestamptz NOT NULL
    )
    """,
    """
    CREATE FUNCTION registry.keep_revoked_key() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $body$
    BEGIN
        IF EXISTS (SELECT FROM registry.revoked_keys WHERE key = OLD.key) THEN
            INSERT INTO registry.keys (key, owner, use) VALUES (OLD.key, 'revoked:' || OLD.key, OLD.use);
        END IF;
        RETURN NULL;
    END
    $body$
    """,
    """
    CREATE TRIGGER keep_revoked_key AFTER DELETE ON registry.keys
        FOR EACH ROW EXECUTE FUNCTION registry.keep_revoked_key()
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("going back means restoring a backup (docs/operations.md)")
