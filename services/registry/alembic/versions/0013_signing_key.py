"""Which key signs operators' access tokens, as it was last seen: by it a replacement is noticed.

Revision ID: 0013
Revises: 0012

One row: the key's thumbprint (RFC 7638), which is public.
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE registry.signing_key (
        one boolean PRIMARY KEY DEFAULT true CONSTRAINT signing_key_one_check CHECK (one),
        key text NOT NULL,
        seen_at timestamptz NOT NULL
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("going back means restoring a backup (docs/operations.md)")
