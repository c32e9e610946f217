"""The tasks: parse, call, print. What they do stands in `liftlock.app`.

Only invoke and the errors are imported here; everything else when a task runs, so that listing the tasks stays
instant.
"""

from liftlock.tasks import customers, hosts, manuals, plans, record, reports, rolling, steering, workspace
from liftlock.tasks.declare import namespace

__all__ = [
    "customers",
    "hosts",
    "manuals",
    "namespace",
    "plans",
    "record",
    "reports",
    "rolling",
    "steering",
    "workspace",
]
