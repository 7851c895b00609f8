"""A relay's access key, and a client's key, may have a next one beside it.

Revision ID: 0009
Revises: 0008

`access_device` says which of the two access devices the present key is on, hence its ports. `access_until` and
`key_until` are the latest dates of the keys of before. `door` is which port of an access key a client's present key
comes by; `wish_secret` is the private half of a challenge that proves who announces a key, empty when it is answered.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    ALTER TABLE registry.relays
        ADD COLUMN access_epoch integer NOT NULL DEFAULT 0
            CONSTRAINT relays_access_epoch_check CHECK (access_epoch >= 0),
        ADD COLUMN access_device integer NOT NULL DEFAULT 0
            CONSTRAINT relays_access_device_check CHECK (access_device IN (0, 1)),
        ADD COLUMN access_next_epoch integer,
        ADD COLUMN access_next_stage text
            CONSTRAINT relays_access_stage_check CHECK (access_next_stage IN ('asked', 'ready', 'open', 'back')),
        ADD COLUMN access_next_key text NOT NULL DEFAULT '',
        ADD COLUMN access_until timestamptz,
        ADD COLUMN access_change bigint NOT NULL DEFAULT 0,
        ADD CONSTRAINT relays_access_next_check CHECK ((access_next_epoch IS NULL) = (access_next_stage IS NULL)
            AND (access_next_epoch IS NOT NULL OR access_next_key = '')
            AND (access_next_epoch IS NULL OR access_next_epoch > access_epoch)
            AND (access_next_stage IS NULL OR access_next_stage NOT IN ('ready', 'open') OR access_next_key <> ''))
    """,
    """
    ALTER TABLE registry.clients
        ADD COLUMN door integer NOT NULL DEFAULT 0 CONSTRAINT clients_door_check CHECK (door IN (0, 1)),
        ADD COLUMN key_epoch integer NOT NULL DEFAULT 0 CONSTRAINT clients_key_epoch_check CHECK (key_epoch >= 0),
        ADD COLUMN next_key text NOT NULL DEFAULT '',
        ADD COLUMN wish_epoch integer,
        ADD COLUMN wish_secret text NOT NULL DEFAULT '',
        ADD COLUMN key_until timestamptz,
        ADD COLUMN key_changed_at timestamptz,
        ADD CONSTRAINT clients_wish_check CHECK ((wish_epoch IS NOT NULL OR (next_key = '' AND wish_secret = ''))
            AND (wish_epoch IS NULL OR wish_epoch > key_epoch))
    """,
    "ALTER TABLE registry.keys DROP CONSTRAINT keys_use_check",
    """
    ALTER TABLE registry.keys ADD CONSTRAINT keys_use_check
        CHECK (use IN ('mesh', 'mesh_next', 'access', 'access_next', 'client', 'client_next', 'identity'))
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("going back means restoring a backup (docs/operations.md)")
