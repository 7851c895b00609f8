"""A relay has a present and, while keys rotate, a next mesh key.

Revision ID: 0008
Revises: 0007

`key_port` replaces the port of the relay's endpoints where the present key's device listens elsewhere; `keys_change` is
the number of the last change of any of this.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    ALTER TABLE registry.relays
        ADD COLUMN key_epoch integer NOT NULL DEFAULT 0 CONSTRAINT relays_key_epoch_check CHECK (key_epoch >= 0),
        ADD COLUMN key_port integer NOT NULL DEFAULT 0
            CONSTRAINT relays_key_port_check CHECK (key_port BETWEEN 0 AND 65535),
        ADD COLUMN next_epoch integer,
        ADD COLUMN next_stage text
            CONSTRAINT relays_next_stage_check CHECK (next_stage IN ('asked', 'ready', 'open', 'back')),
        ADD COLUMN next_key text NOT NULL DEFAULT '',
        ADD COLUMN next_port integer NOT NULL DEFAULT 0
            CONSTRAINT relays_next_port_check CHECK (next_port BETWEEN 0 AND 65535),
        ADD COLUMN keys_change bigint NOT NULL DEFAULT 0,
        ADD CONSTRAINT relays_next_check CHECK ((next_epoch IS NULL) = (next_stage IS NULL)
            AND (next_epoch IS NOT NULL OR next_key = '')
            AND (next_epoch IS NULL OR next_epoch > key_epoch)
            AND (next_stage IS NULL OR next_stage NOT IN ('ready', 'open') OR next_key <> ''))
    """,
    "ALTER TABLE registry.keys DROP CONSTRAINT keys_use_check",
    """
    ALTER TABLE registry.keys ADD CONSTRAINT keys_use_check
        CHECK (use IN ('mesh', 'mesh_next', 'access', 'client', 'identity'))
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("going back means restoring a backup (docs/operations.md)")
