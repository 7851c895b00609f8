"""Clients that joined by a token have a secret of their own.

Revision ID: 0006
Revises: 0005

One secret a client, gone with it. `id` is what the holder's text names; only the hash of the text is kept.
Claims of idempotency keys say which connection made them: `holder` (of a new installation since the first migration).
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE registry.client_secrets (
        client_id text PRIMARY KEY REFERENCES registry.clients ON DELETE CASCADE,
        id text NOT NULL CONSTRAINT client_secrets_id_key UNIQUE,
        secret_hash bytea NOT NULL CONSTRAINT client_secrets_hash_check CHECK (octet_length(secret_hash) = 32),
        join_token text NOT NULL,
        created_at timestamptz NOT NULL
    )
    """,
    "ALTER TABLE registry.idempotency ADD COLUMN IF NOT EXISTS holder text",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("going back means restoring a backup (docs/operations.md)")
