"""`python -m liftlock` is `liftlock`."""

from liftlock.main import main

main()
