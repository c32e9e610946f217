"""The service review as page and PDF: the same figures in both, nothing of a customer's words is markup."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pypdfium2
import pytest

from liftlock.adapters.review_page import as_document, review_page, review_pdf
from liftlock.incident import Incident
from liftlock.review import Cost, Measure, Review, Satisfaction, Share
from liftlock.review_times import Days, PatchTime, ResponseTime

NOW = datetime(2026, 12, 31, 9, 0, tzinfo=UTC)
TREND = (Share("2026-Q1", 9, 9), Share("2026-Q2", 0, 0), Share("2026-Q3", 29, 30), Share("2026-Q4", 48, 50))
REVIEW = Review(
    quarter="2026-Q4",
    measures=(Measure("success", 98, TREND), Measure("satisfaction", 90, TREND[1:2] * 4)),
    patch_times=(PatchTime("urgent", 2.5, 9.0, 48, (Days("2026-Q3", 6.5, 30), Days("2026-Q4", 2.5, 48))),),
    unpublished=3,
    response_times=(ResponseTime("2026-Q3", None, 0, None, 0, 0), ResponseTime("2026-Q4", 7.0, 1, None, 0, 1)),
    costs=(Cost("2026-Q3", 0.0, 0, 0), Cost("2026-Q4", 120.0, 12, 50)),
    satisfaction_by_release=(Satisfaction("boathouse 1.5.0", 7, 8),),
    satisfaction_by_customer=(Satisfaction("huaxin", 1, 1),),
    comments=(("huaxin", "boathouse 1.5.0", 5, "很快 <b>& #quiet</b> {{ 7*7 }}"),),
    incidents=(Incident(NOW, "budget: 2 of 50 planned hosts failed", NOW + timedelta(minutes=7), "ana"),),
)


def text_of(pdf: bytes) -> str:
    document = pypdfium2.PdfDocument(pdf)
    try:
        return " ".join(" ".join(page.get_textpage().get_text_range().split()) for page in document)
    finally:
        document.close()


@pytest.mark.parametrize(
    "said", ["48 of 50", "96.0 %", "no data", "2.5", "(48)", "6.5", "(30)", "7.0", "7 min", "not yet", "很快"]
)
def test_the_page_says_every_figure(said: str) -> None:
    assert said in review_page(REVIEW, NOW, "Vendor")


def test_what_a_customer_wrote_is_text_on_the_page_and_on_paper() -> None:
    page = review_page(REVIEW, NOW, "<i>Vendor")
    assert "很快 &lt;b&gt;&amp; #quiet&lt;/b&gt; {{ 7*7 }}" in page
    assert "<i>Vendor" not in page
    assert "很快 <b>& #quiet</b> {{ 7*7 }}" in text_of(review_pdf(REVIEW, NOW, "Vendor"))


def test_the_paper_says_the_same_and_is_the_same_each_time() -> None:
    pdf = review_pdf(REVIEW, NOW, "Vendor")
    said = text_of(pdf)
    for figure in (
        "48 / 50",
        "96 %",
        "missed",
        "no data",
        "2.5 (48)",
        "6.5 (30)",
        "7 (1)",
        "7 min",
        "not yet",
        "as of 2026-12-31 09:00 UTC",
    ):
        assert figure in said, figure
    assert pdf == review_pdf(REVIEW, NOW, "Vendor")


def test_a_quarter_in_which_nothing_happened_makes_page_and_paper() -> None:
    nothing = replace(
        REVIEW, patch_times=(), incidents=(), comments=(), satisfaction_by_release=(), satisfaction_by_customer=()
    )
    assert "Nobody answered in this quarter" in review_page(nothing, NOW, "Vendor")
    assert "Nobody answered in this quarter" in text_of(review_pdf(nothing, NOW, "Vendor"))


def test_the_document_has_what_its_values_work_out() -> None:
    told = as_document(REVIEW)
    assert [(one["state"], one["trend"][-1]["percent"]) for one in told["measures"]] == [
        ("missed", 96.0),
        ("no data", None),
    ]
    assert told["costs"][1:] == [
        {"quarter": "2026-Q4", "minutes": 120.0, "steps": 12, "hosts": 50, "minutes_a_host": 2.4, "steps_a_host": 0.24}
    ]


def test_no_heading_is_parted_from_its_table_wherever_a_page_ends() -> None:
    (incident,) = REVIEW.incidents
    ends = set()
    for number in range(1, 50):
        document = pypdfium2.PdfDocument(review_pdf(replace(REVIEW, incidents=(incident,) * number), NOW, "Vendor"))
        pages = [" ".join(page.get_textpage().get_text_range().split()) for page in document]
        for heading, row in (
            ("What was promised", "Measure Rate Of Goal success"),
            ("Time to patch", "Q4 Longest urgent"),
            ("Cost", "Hosts 2026-Q3"),
            ("Incidents Median", "to acknowledge"),
            ("What customers say", "Release or customer Satisfied Answers Goal 90 % boathouse 1.5.0"),
        ):
            (page,) = [place for place, text in enumerate(pages) if heading in text]
            assert row in pages[page], f"{heading}, {number} incidents"
        ends.add(page)
    assert len(ends) > 1, "no page ended anywhere near"
