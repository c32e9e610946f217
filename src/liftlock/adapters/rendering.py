"""Templates: one environment for notices and manuals, and the words that times and spans have in each language.

Templates are trusted files, the values put into them are not: HTML is escaped, and a variable that a
template names but nobody gives is an error, never an empty string.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from liftlock.errors import InputError, Problem
from liftlock.model import Window

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

PACKAGED = Path(__file__).parent.parent / "sample" / "templates"


@dataclass(frozen=True, slots=True)
class _Language:
    """How one language writes a day, a time, a zone (some have a name of their own), a stretch, and the units of a span
    (one, many).
    """

    day: Callable[[datetime], str]
    moment: Callable[[datetime], str]
    brackets: str
    zone: str
    zone_names: Mapping[str, str]
    stretch: str
    units: tuple[tuple[str, str], ...]


def _english_day(local: datetime) -> str:
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    return f"{local.day} {months[local.month - 1]} {local.year}"


def _english_moment(local: datetime) -> str:
    day = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[local.weekday()]
    return f"{day} {_english_day(local)}, {local:%H:%M}"


def _chinese_day(local: datetime) -> str:
    return f"{local.year}年{local.month}月{local.day}日"


def _chinese_moment(local: datetime) -> str:
    return f"{_chinese_day(local)}（星期{'一二三四五六日'[local.weekday()]}）{local:%H:%M}"


_LANGUAGES = {
    "en": _Language(
        day=_english_day,
        moment=_english_moment,
        brackets=" ({})",
        zone="{offset}, {name}",
        zone_names={"UTC": "UTC"},
        stretch="{start} to {end}",
        units=(("day", "days"), ("hour", "hours"), ("minute", "minutes"), ("second", "seconds")),
    ),
    "zh-CN": _Language(
        day=_chinese_day,
        moment=_chinese_moment,
        brackets="（{}）",
        zone="{offset}，{name}",
        zone_names={"UTC": "UTC", "Asia/Shanghai": "北京时间"},
        stretch="{start} 至 {end}",
        units=(("天", "天"), ("小时", "小时"), ("分钟", "分钟"), ("秒", "秒")),
    ),
}


def environment(workspace: Path | None = None) -> Environment:
    """The templates of a workspace's `templates/` folder first, then those that come with liftlock."""
    import jinja2

    folders = [PACKAGED] if workspace is None else [workspace / "templates", PACKAGED]
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        undefined=jinja2.StrictUndefined,
        autoescape=jinja2.select_autoescape(["html.j2"]),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters.update(local_time=local_time, local_window=local_window, local_date=local_date, span=span, css=_css)
    return made


def for_markdown(templates: Environment) -> Environment:
    """The same templates for Markdown: what a value holds stays text, whatever Markdown would make of it."""
    return templates.overlay(autoescape=False, finalize=_escaped)


def for_words(templates: Environment) -> Environment:
    """The same names and filters for texts that are filled in as they are, piece by piece."""
    return templates.overlay(autoescape=False)


def fill_in(words: Environment, text: str, **variables: Any) -> str:
    """The text with its `{{ names }}` filled in. Raises ValueError when it is wrong, or names what nobody gives."""
    import jinja2

    try:
        return words.from_string(text).render(**variables)
    except jinja2.TemplateError as error:
        raise ValueError(str(error.message)) from error


def render(templates: Environment, name: str, **variables: Any) -> str:
    """The template filled in. Raises InputError with the template's name and line when it is missing or wrong."""
    import jinja2

    try:
        return templates.get_template(name).render(**variables)
    except jinja2.TemplateSyntaxError as error:
        place = Problem(file=f"templates/{error.name or name}", line=error.lineno, column=1, message=str(error.message))
        raise InputError([place]) from error
    except jinja2.TemplateNotFound as error:
        folders = ", ".join(getattr(templates.loader, "searchpath", ()))
        raise InputError(
            [Problem(file=f"templates/{error.name or name}", message=f"no such template in {folders}")]
        ) from error
    except jinja2.TemplateError as error:
        file, line = _place(error, name)
        message = f"{error.message}{_known(error, variables)}"
        raise InputError([Problem(file=f"templates/{file}", line=line, column=1, message=message)]) from error


def source_of(templates: Environment, name: str) -> str:
    """A template's own text, for one that Jinja does not fill in. Raises InputError when it is missing."""
    import jinja2

    try:
        return str(templates.loader.get_source(templates, name)[0]) if templates.loader else ""
    except jinja2.TemplateNotFound as error:
        raise InputError([Problem(file=f"templates/{name}", message="no such template")]) from error


def local_time(moment: datetime, zone: str, language: str) -> str:
    """The moment on the clocks of an IANA zone, with weekday and UTC offset, in the language's own manner."""
    local = moment.astimezone(ZoneInfo(zone))
    return _language(language).moment(local) + _zone(local, zone, language)


def local_date(moment: datetime, zone: str, language: str) -> str:
    """The day on the calendar of an IANA zone, in the language's own manner."""
    return _language(language).day(moment.astimezone(ZoneInfo(zone)))


def local_window(window: Window, zone: str, language: str) -> str:
    """From when to when; day and zone stand once where they are the same at both ends."""
    start, end = window.start.astimezone(ZoneInfo(zone)), window.end.astimezone(ZoneInfo(zone))
    words = _language(language)
    first, last = words.moment(start), words.moment(end)
    if start.utcoffset() != end.utcoffset():
        first += _zone(start, zone, language)
    elif start.date() == end.date():
        last = f"{end:%H:%M}"
    return words.stretch.format(start=first, end=last + _zone(end, zone, language))


def span(length: timedelta, language: str) -> str:
    """A length of time in words, to the second: `1 hour 30 minutes`."""
    units = _language(language).units
    minutes, seconds = divmod(round(length.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    amounts = zip((days, hours, minutes, seconds), units, strict=True)
    parts = [f"{amount} {one if amount == 1 else many}" for amount, (one, many) in amounts if amount]
    return " ".join(parts) or f"0 {units[2][1]}"


def _escaped(value: Any) -> str:
    """A value as Markdown that shows just its characters (CommonMark 2.4: any ASCII punctuation may be escaped)."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(str(value).splitlines()))


def _css(text: str) -> Markup:
    """The text for a string in a style sheet, in quotation marks (CSS Syntax 3, 4.3.7)."""
    from markupsafe import Markup

    return Markup(re.sub(r"[^\w .,:-]", lambda found: f"\\{ord(found[0]):x} ", text))  # noqa: S704 - nothing is left


def _language(name: str) -> _Language:
    if name not in _LANGUAGES:
        raise InputError(f"no words for language {name!r}: known are {', '.join(_LANGUAGES)}")
    return _LANGUAGES[name]


def _zone(local: datetime, name: str, language: str) -> str:
    words = _language(language)
    offset = words.zone.format(offset=f"UTC{local.isoformat()[-6:]}", name=name)
    return words.brackets.format(words.zone_names.get(name, offset))


def _known(error: Exception, names: Iterable[str]) -> str:
    """What may be named instead of what nobody gives."""
    return f"; known here: {', '.join(sorted(names))}" if str(error).endswith(" is undefined") else ""


def _place(error: Exception, name: str) -> tuple[str, int]:
    """The innermost template line that an error passed through (Jinja puts template lines into tracebacks)."""
    place, step = (name, 0), error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename.endswith(".j2"):
            place = (step.tb_frame.f_code.co_filename.rpartition("/templates/")[2], step.tb_lineno)
        step = step.tb_next
    return place
