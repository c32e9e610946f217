"""The entries, the claim between controllers, and the triggers that keep the record append-only."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLE = (
    """
    CREATE TABLE entries (
        seq INTEGER PRIMARY KEY,
        at TEXT NOT NULL,
        plan TEXT NOT NULL,
        fact_kind TEXT NOT NULL,
        host TEXT,
        attempt INTEGER,
        body TEXT NOT NULL,
        previous TEXT NOT NULL,
        hash TEXT NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX entries_claim ON entries (plan, host, attempt) WHERE fact_kind = 'started'",
    "CREATE INDEX entries_of_plan ON entries (plan, seq)",
    "CREATE INDEX entries_planned ON entries (seq, plan) WHERE fact_kind = 'planned'",
)

# INSERT OR REPLACE deletes without asking the delete trigger, hence the third one.
SQLITE_TRIGGERS = (
    """
    CREATE TRIGGER entries_no_update BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END
    """,
    """
    CREATE TRIGGER entries_no_delete BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END
    """,
    """
    CREATE TRIGGER entries_no_replace BEFORE INSERT ON entries
    WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM entries)
      OR (NEW.fact_kind = 'started' AND EXISTS (
            SELECT 1 FROM entries WHERE fact_kind = 'started'
            AND plan = NEW.plan AND host = NEW.host AND attempt = NEW.attempt))
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END
    """,
)

POSTGRESQL_TRIGGERS = (
    """
    CREATE FUNCTION entries_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'the ledger is append-only' USING ERRCODE = 'restrict_violation'; END $$
    """,
    """
    CREATE TRIGGER entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON entries
    FOR EACH STATEMENT EXECUTE FUNCTION entries_append_only()
    """,
)


def upgrade() -> None:
    """Create everything, on either database."""
    triggers = SQLITE_TRIGGERS if op.get_context().dialect.name == "sqlite" else POSTGRESQL_TRIGGERS
    for statement in (*TABLE, *triggers):
        op.execute(statement)
