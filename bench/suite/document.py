"""The tables: one over everything, one for each measurement, and docs/PERFORMANCE.md around them."""

import re

from . import results
from .machine import ROOT

TEMPLATE = ROOT / "bench" / "performance.md.in"
DOCUMENT = ROOT / "docs" / "PERFORMANCE.md"
NAMES = {"postgres": "PostgreSQL", "sqlite": "SQLite"}


def shown(value):
    """A value as people read it."""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "" if value is None else NAMES.get(value, str(value))


def table(heads, rows):
    """Lines of a table in Markdown."""
    yield f"| {' | '.join(heads)} |"
    yield "|" + "---|" * len(heads)
    for row in rows:
        yield f"| {' | '.join(shown(value) for value in row)} |"


def of(measurement, found):
    """A measurement's own table from its results by database, with where each came from; a word where there is none."""
    if not found:
        return [f"Not measured: `bench/run {measurement.NAME}`."]
    heads = list(measurement.COLUMNS)
    several = len(measurement.ON) > 1
    rows = [([on] if several else []) + [row.get(key) for key in measurement.COLUMNS.values()]
            for on, result in found.items() for row in result["rows"]]
    return [*table(["on"] * several + heads, rows), "", *(origin(result) for result in found.values())]


def origin(result):
    """When, where and how a result was found."""
    machine = result["machine"]
    settings = ", ".join(f"{name} {shown(value) if not isinstance(value, list) else ' '.join(map(shown, value))}"
                         for name, value in result["settings"].items())
    return (f"<sub>{NAMES[result['on']]}: {result['date'][:16].replace('T', ' ')} UTC, commit {result['commit']}, "
            f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}; {settings}; "
            f"took {result['took_seconds']} s, load {result['load']:.1f} at its end.</sub>\n")


def summary(measurements):
    """The one table: the figures that matter of every measurement, side by side."""
    rows = []
    for measurement in measurements:
        found = results.latest(measurement.NAME)
        told = {on: measurement.headlines(result["rows"]) for on, result in found.items()}
        whats = list(dict.fromkeys(what for headlines in told.values() for what in headlines))
        date = max((result["date"][:10] for result in found.values()), default="")
        rows += [(what, told.get("postgres", {}).get(what), told.get("sqlite", {}).get(what), measurement.NAME, date)
                 for what in whats]
    return table(["", "PostgreSQL", "SQLite", "measurement", "on"], rows)


def write(measurements):
    """docs/PERFORMANCE.md: the template with every `{{name}}` filled in."""
    parts = {measurement.NAME: lambda one=measurement: of(one, results.latest(one.NAME)) for measurement in measurements}
    parts["summary"] = lambda: summary(measurements)
    text = re.sub(r"\{\{([a-z-]+)\}\}", lambda found: "\n".join(parts[found.group(1)]()).strip(), TEMPLATE.read_text())
    DOCUMENT.write_text(text)
