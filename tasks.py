"""The workspace's tasks: `inv -l` lists them. Add your own with `namespace.add_task`."""

import sys

from liftlock.main import before_parsing
from liftlock.tasks import namespace

before_parsing(namespace, sys.argv)
