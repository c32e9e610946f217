"""Claims hosts as a controller does; `test_claim_races.py` starts eight of these.

A line on standard input is an attempt and the hosts to claim; standard output says for each who got it.
"""

from __future__ import annotations

import random
import sys
from datetime import UTC, datetime

from liftlock.adapters.db import SqlLedger, open_ledger
from liftlock.errors import LockedError
from liftlock.ledger import Started
from liftlock.model import Action


def claim(ledger: SqlLedger, session: str, attempt: int, host: str) -> str:
    """`won <entry>` or `locked <who holds it>`; anything else is an error."""
    wanted = Started(
        host=host, attempt=attempt, action=Action.UPGRADE, from_version="1", to_version="2", session=session
    )
    try:
        return f"won {ledger.append('3fa9c1d2' * 8, wanted, datetime.now(UTC)).seq}"
    except LockedError as refused:
        return f"locked {refused}"
    except Exception as error:
        return f"error {error!r}"


def main(url: str, session: str) -> None:
    with open_ledger(url) as ledger:
        print("ready", flush=True)
        for order in sys.stdin:
            attempt, *hosts = order.split()
            random.shuffle(hosts)
            for host in hosts:
                print(host, claim(ledger, session, int(attempt), host), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
