"""Reports, new in 1.6.0. It cannot read bookings in the format of the 1.2 line, which some hosts still keep."""

import pathlib


def trouble(data: pathlib.Path) -> str:
    """Why reports cannot work on this host; empty when they can."""
    if (data / "bookings-1.2.csv").exists():
        return "reports: cannot read bookings-1.2.csv"
    return ""
