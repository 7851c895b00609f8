"""The network lock: the owners' log, authorities' statements, hosts' certificates and reports.

Revision ID: 0003
Revises: 0002

All of it is public and signed by others. The log only grows: a trigger refuses all else, also to keyd.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE keyd.lock_networks (
        network text PRIMARY KEY,
        version bigint NOT NULL DEFAULT 0,
        published bigint NOT NULL DEFAULT 0
    )
    """,
    """
    CREATE TABLE keyd.lock_entries (
        network text NOT NULL,
        number integer NOT NULL CONSTRAINT lock_entries_number_check CHECK (number >= 1),
        entry text NOT NULL,
        hash text NOT NULL,
        signatures jsonb NOT NULL,
        created_by text NOT NULL,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (network, number)
    )
    """,
    """
    CREATE FUNCTION keyd.lock_entries_grow() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the log of a network lock only grows'; END $$
    """,
    """
    CREATE TRIGGER lock_entries_grow BEFORE UPDATE OR DELETE OR TRUNCATE ON keyd.lock_entries
        FOR EACH STATEMENT EXECUTE FUNCTION keyd.lock_entries_grow()
    """,
    """
    CREATE TABLE keyd.lock_statements (
        network text NOT NULL,
        subject text NOT NULL,
        kind text NOT NULL CONSTRAINT lock_statements_kind_check CHECK (kind IN ('relay', 'client')),
        serial bigint NOT NULL CONSTRAINT lock_statements_serial_check CHECK (serial >= 1),
        statement text NOT NULL,
        authority text NOT NULL,
        signature text NOT NULL,
        version bigint NOT NULL,
        created_by text NOT NULL,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (network, subject)
    )
    """,
    "CREATE INDEX lock_statements_version ON keyd.lock_statements (network, kind, version)",
    """
    CREATE TABLE keyd.lock_hosts (
        relay text PRIMARY KEY REFERENCES keyd.identities,
        network text NOT NULL,
        certificates jsonb NOT NULL DEFAULT '[]',
        version bigint NOT NULL DEFAULT 0,
        length integer NOT NULL DEFAULT 0,
        head text NOT NULL DEFAULT '',
        refused jsonb NOT NULL DEFAULT '[]',
        refused_count integer NOT NULL DEFAULT 0,
        alarm text NOT NULL DEFAULT '',
        alarm_text text NOT NULL DEFAULT '',
        reported_at timestamptz
    )
    """,
    "CREATE INDEX lock_hosts_version ON keyd.lock_hosts (network, version)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("going back means restoring a backup (docs/operations.md)")
