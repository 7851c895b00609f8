"""Relays have an identity key and say what decides their paths.

Revision ID: 0002
Revises: 0001

Relays of before have no identity key until their agent renews its credentials; until then nothing can be sealed for
them.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE registry.relays ADD COLUMN identity_key text NOT NULL DEFAULT ''",
    """
    ALTER TABLE registry.relays ADD COLUMN routing text NOT NULL DEFAULT 'static'
        CONSTRAINT relays_routing_check CHECK (routing IN ('bird', 'static'))
    """,
    "ALTER TABLE registry.keys DROP CONSTRAINT keys_use_check",
    """
    ALTER TABLE registry.keys
        ADD CONSTRAINT keys_use_check CHECK (use IN ('mesh', 'access', 'client', 'identity'))
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("going back means restoring a backup (docs/operations.md)")
