"""The tasks that look back: report, service review, customers' answers."""

from __future__ import annotations

from pathlib import Path

from invoke import Context

from liftlock.errors import ExitCode, InputError
from liftlock.tasks.declare import JSON, declared, print_json


@declared(
    product="Only this product.",
    plan="Only this plan (its id, or the first eight digits).",
    quarter="The service review of this quarter instead, such as 2026-Q4, or `now`.",
    html="Also write it as one HTML page to this file.",
    pdf="Also write the service review as PDF to this file.",
    **JSON,
)
def report(
    _context: Context,
    product: str = "",
    plan: str = "",
    quarter: str = "",
    html: str = "",
    pdf: str = "",
    json: bool = False,
) -> None:
    """
    Show the success rate against the target, or a quarter's service review, from the record alone.

    Example: liftlock report --quarter 2026-Q4 --html out/review.html
    """
    if quarter:
        if product or plan:
            raise InputError("--quarter reviews the whole service: leave out --product and --plan")
        _review("" if quarter == "now" else quarter, html, pdf, as_json=json)
    elif pdf:
        raise InputError("--pdf is for the service review: say which with --quarter, or write the report with --html")
    else:
        _report(product, plan, html, as_json=json)


def _report(product: str, plan: str, html: str, *, as_json: bool) -> None:
    from liftlock.adapters import terminal
    from liftlock.app.reporting import draw_up, write_page
    from liftlock.app.workspace import Workspace
    from liftlock.report import as_json as document

    workspace = Workspace()
    made = draw_up(workspace, product or None, plan or None)
    page = write_page(workspace, made, Path(html)) if html else None
    if as_json:
        print_json(document(made) | ({"page": str(page)} if page else {}))
    else:
        terminal.show_report(made)
        if page:
            terminal.show_files("Page", [page])


def _review(quarter: str, html: str, pdf: str, *, as_json: bool) -> None:
    from liftlock.adapters.review_page import as_document
    from liftlock.adapters.terminal_review import show_review
    from liftlock.app.reviewing import review_quarter, write_review
    from liftlock.app.workspace import Workspace

    workspace = Workspace()
    made = review_quarter(workspace, quarter)
    written = write_review(workspace, made, html, pdf)
    if as_json:
        print_json(as_document(made) | {"files": written})
    else:
        show_review(made, written)


@declared(
    code="The code in the customer's letter, such as K7QM-4TZC-2AXB.",
    score="From 1 to 5.",
    comment="What the customer said, in a sentence.",
    mail="Read answers from this saved reply (.eml), or from all in this folder, instead.",
    **JSON,
)
def feedback(
    _context: Context, code: str = "", score: str = "", comment: str = "", mail: str = "", json: bool = False
) -> ExitCode:
    """
    Record what a customer answered to the letter that told of its upgrade: a score, perhaps a sentence.

    Exit 3 when a reply carries a code that was not given out here; the others are recorded.
    Example: liftlock feedback --code K7QM-4TZC-2AXB --score 5 --comment "quick and quiet"
    """
    from liftlock.adapters.terminal_review import show_heard
    from liftlock.app.reviewing import Heard, Unknown, record_feedback, record_replies
    from liftlock.app.workspace import Workspace
    from liftlock.feedback import Answer, read_score

    if bool(mail) == bool(code):
        raise InputError("say --code and --score, or --mail")
    workspace = Workspace()
    heard: list[Heard]
    unknown: list[Unknown] = []
    passed_over: list[Path] = []
    if mail:
        heard, unknown, passed_over = record_replies(workspace, Path(mail))
    else:
        heard = [record_feedback(workspace, Answer(code, read_score(score), comment))]
    if json:
        print_json({"answers": heard, "unknown": unknown, "passed_over": passed_over})
    else:
        show_heard(heard, unknown, passed_over)
    return ExitCode.REFUSED if unknown else ExitCode.DONE
