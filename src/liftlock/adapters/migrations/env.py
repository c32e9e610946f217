"""Runs the migrations on the connection, and in the transaction, that `liftlock.adapters.db` hands over."""

from __future__ import annotations

from alembic import context

_given = context.config.attributes
context.configure(connection=_given["connection"], version_table=_given["version_table"])
context.run_migrations()
