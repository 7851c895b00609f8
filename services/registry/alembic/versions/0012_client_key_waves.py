"""A client's change of keys knows when it was asked for, by which rotation, and whether the next key was used.

Revision ID: 0012
Revises: 0011

`wish_rotation` stays when the wish ends, so that a rotation asks each client once. `next_proven`: the client announced
the key itself, so it changes over by itself. `next_seen_at`: when a relay first told of a handshake by the next key.
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    ALTER TABLE registry.clients
        ADD COLUMN wish_at timestamptz,
        ADD COLUMN wish_rotation text NOT NULL DEFAULT '',
        ADD COLUMN next_proven boolean NOT NULL DEFAULT false,
        ADD COLUMN next_seen_at timestamptz,
        ADD CONSTRAINT clients_next_check CHECK (next_key <> '' OR (NOT next_proven AND next_seen_at IS NULL))
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("going back means restoring a backup (docs/operations.md)")
