"""Rotations of mesh keys, the relays in them, and when networks rotate by themselves.

Revision ID: 0002
Revises: 0001

A network has one open rotation at most. Of keys there are public halves only.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE keyd.rotations (
        id text PRIMARY KEY,
        network text NOT NULL,
        epoch integer NOT NULL CONSTRAINT rotations_epoch_check CHECK (epoch >= 1),
        plan jsonb NOT NULL,
        reason text NOT NULL,
        phase text NOT NULL CONSTRAINT rotations_phase_check
            CHECK (phase IN ('prepare', 'connect', 'drain', 'keep', 'back', 'done', 'rolled_back')),
        wave integer NOT NULL DEFAULT 0,
        deadline timestamptz NOT NULL,
        generation bigint NOT NULL DEFAULT 0,
        paused boolean NOT NULL DEFAULT false,
        stop boolean NOT NULL DEFAULT false,
        ended text NOT NULL DEFAULT '',
        blamed text[] NOT NULL DEFAULT '{}',
        problem text NOT NULL DEFAULT '',
        created_by text NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        ended_at timestamptz,
        version integer NOT NULL DEFAULT 1,
        CONSTRAINT rotations_epoch_key UNIQUE (network, epoch),
        CONSTRAINT rotations_ended_check CHECK ((ended_at IS NOT NULL) = (phase IN ('done', 'rolled_back'))),
        CONSTRAINT rotations_rolled_back_check CHECK ((phase IN ('back', 'rolled_back')) = (ended <> ''))
    )
    """,
    "CREATE UNIQUE INDEX rotations_open ON keyd.rotations (network) WHERE ended_at IS NULL",
    """
    CREATE TABLE keyd.rotation_relays (
        rotation text NOT NULL REFERENCES keyd.rotations,
        relay text NOT NULL REFERENCES keyd.identities,
        wave integer NOT NULL DEFAULT 0,
        stage text NOT NULL DEFAULT '' CONSTRAINT rotation_relays_stage_check
            CHECK (stage IN ('', 'asked', 'ready', 'open', 'back')),
        left_why text NOT NULL DEFAULT '',
        key text NOT NULL DEFAULT '',
        port integer NOT NULL DEFAULT 0,
        generation bigint NOT NULL DEFAULT 0,
        switched text[] NOT NULL DEFAULT '{}',
        waiting text[] NOT NULL DEFAULT '{}',
        reported_at timestamptz,
        PRIMARY KEY (rotation, relay)
    )
    """,
    """
    CREATE TABLE keyd.rotation_policies (
        network text PRIMARY KEY,
        max_age double precision CONSTRAINT rotation_policies_age_check CHECK (max_age > 0),
        jitter double precision NOT NULL CONSTRAINT rotation_policies_jitter_check CHECK (jitter BETWEEN 0 AND 1),
        plan jsonb NOT NULL,
        due_at timestamptz,
        updated_by text NOT NULL,
        updated_at timestamptz NOT NULL
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("going back means restoring a backup (docs/operations.md)")
