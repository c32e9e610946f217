"""The service review as one HTML page, and as a PDF by typst; both say the same, from the same values."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from pydantic_core import to_jsonable_python

from liftlock.adapters.report_page import PACKAGED, page_environment
from liftlock.incident import Incident, told_span
from liftlock.review import Review


def review_page(review: Review, generated_at: datetime, vendor: str) -> str:
    """The whole page as HTML; every text of the review is escaped. `generated_at` is aware."""
    template = page_environment().get_template("review.html.j2")
    return template.render(
        review=review,
        title=f"{vendor}: service review {review.quarter}",
        generated_at=generated_at.astimezone(UTC),
        incidents=[incident_words(one) for one in review.incidents],
    )


def review_pdf(review: Review, generated_at: datetime, vendor: str) -> bytes:
    """The same as PDF. The same review makes the same bytes."""
    import typst

    from liftlock.adapters.manual_fonts import families, folders

    told = as_document(review) | {
        "title": f"{vendor}: service review {review.quarter}",
        "as_of": f"{generated_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
        "incident_lines": [incident_words(one) for one in review.incidents],
        "fonts": families("en"),
    }
    fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=True, font_paths=folders())
    compiler = typst.Compiler(root=PACKAGED, font_paths=fonts)
    made = compiler.compile(
        (PACKAGED / "review.typ").read_bytes(),
        format="pdf",
        sys_inputs={"data": json.dumps(told, ensure_ascii=False)},
        timestamp=int(generated_at.timestamp()),
    )
    if not isinstance(made, bytes):
        raise TypeError("typst made no single PDF")
    return made


def as_document(review: Review) -> dict[str, Any]:
    """The review as plain JSON values, with each share's percent, each measure's state and each cost by host."""
    told: dict[str, Any] = to_jsonable_python(review)
    for measure, plain in zip(review.measures, told["measures"], strict=True):
        plain["state"] = measure.state
        for share, share_told in zip(measure.trend, plain["trend"], strict=True):
            share_told["percent"] = share.percent
    for cost, cost_told in zip(review.costs, told["costs"], strict=True):
        cost_told |= {"minutes_a_host": cost.minutes_a_host, "steps_a_host": cost.steps_a_host}
    for name in ("satisfaction_by_release", "satisfaction_by_customer"):
        for one, one_told in zip(getattr(review, name), told[name], strict=True):
            one_told["state"] = one.state
    return told


def incident_words(incident: Incident) -> dict[str, str]:
    """One incident in words: when it opened, why, and how long until it was acknowledged and recovered."""

    def after(moment: datetime | None) -> str:
        return "not yet" if moment is None else told_span(moment - incident.opened_at)

    return {
        "opened": f"{incident.opened_at.astimezone(UTC):%Y-%m-%d %H:%M}",
        "reason": incident.reason,
        "acknowledged": after(incident.acknowledged_at),
        "recovered": after(incident.recovered_at),
    }
