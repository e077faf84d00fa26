"""What was found, for people: a table in the terminal, JSON, and the page `docs/performance.md` with its plots."""

import json
import math
import os
import platform
from collections.abc import Sequence
from html import escape
from pathlib import Path

from bench.figures import Curve, Figure, Results
from bench.scale.report import BEGIN, END

_COLORS = ("#1f6feb", "#d1242f", "#1a7f37", "#9a6700")
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 560, 300, 70, 50, 40, 150
_PLOT = _WIDTH - _LEFT - _RIGHT


_PREFACE = """\
`make bench` measures all of this and writes this page. Ratios compare two things measured alternately in the same run \
(CPU time, median of {rounds} rounds). A budget is a bound for plain code: what needs a trick to meet it says so. \
Absolute figures are this machine's \
({machine}), with other work beside it. `make bench ONLY=…` measures some groups again, and leaves the others as they \
were."""


def to_terminal(results: Results) -> str:
    lines: list[str] = []
    group = ""
    for figure in results.figures:
        if figure.group != group:
            group = figure.group
            lines += ["", group]
        mark = {True: "met", False: "NOT MET", None: ""}[figure.met]
        budget = f"at most {_number(figure.budget)}" if figure.budget is not None else ""
        about = "; ".join(
            part for part in (figure.absolute, f"against {figure.against}" if figure.against else "") if part
        )
        lines.append(f"  {figure.name:<52} {_number(figure.value):>9} {figure.unit:<14} {budget:<14} {mark:<8} {about}")
    met = [figure.met for figure in results.figures if figure.met is not None]
    lines += ["", f"{sum(met)} of {len(met)} budgets met"]
    lines += [f"left out: {one}" for one in results.left_out]
    return "\n".join(lines)


def to_page(results: Results, folder: Path, *, rounds: int) -> str:
    """The page; its plots are written beside it, into `folder`/performance."""
    plots = folder / "performance"
    plots.mkdir(parents=True, exist_ok=True)
    for curve in results.curves:
        (plots / f"{curve.file}.svg").write_text(to_svg(curve), encoding="utf-8")
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    parts = ["# Performance", _PREFACE.format(rounds=rounds, machine=machine)]
    for group in sorted({figure.group for figure in results.figures}):
        parts += [f"## {group}", _table([figure for figure in results.figures if figure.group == group])]
    parts.append("## How the figures grow")
    parts += [f"![{one.title}](performance/{one.file}.svg)" for one in sorted(results.curves, key=lambda one: one.file)]
    if results.left_out:
        parts += ["## Not measured", "\n".join(f"- {one}" for one in results.left_out)]
    page = folder / "performance.md"
    before = page.read_text("utf-8") if page.exists() else ""
    if BEGIN in before:
        # What `make scale` found stays as it was.
        parts.append(before[before.index(BEGIN) : before.index(END) + len(END)])
    return "\n\n".join(parts) + "\n"


def to_json(results: Results) -> str:
    return json.dumps(results.as_json(), indent=2, ensure_ascii=False)


def _table(figures: Sequence[Figure]) -> str:
    rows = ["| | Figure | Against | Budget | | This machine |", "|---|---:|---|---:|---|---|"]
    for one in figures:
        budget = "" if one.budget is None else _number(one.budget)
        met = {True: "met", False: "**not met**", None: ""}[one.met]
        about = "; ".join(part for part in (one.absolute, one.note) if part)
        rows.append(f"| {one.name} | {_number(one.value)} {one.unit} | {one.against} | {budget} | {met} | {about} |")
    return "\n".join(rows)


def _number(value: float) -> str:
    if value == 0:
        return "0"
    if abs(value) >= 1000 or float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.2g}"


def to_svg(curve: Curve) -> str:
    """A line chart; the work's axis is logarithmic, the figure's begins at zero."""
    points = [point for line in curve.lines.values() for point in line]
    works, figures = sorted({work for work, _ in points}), [figure for _, figure in points]
    top = _nice(max([*figures, 1e-9]))
    low, high = math.log10(works[0] or 1), math.log10(works[-1] or 1)

    def x(work: float) -> float:
        share = (math.log10(work) - low) / (high - low) if high > low else 0.5
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(figure: float) -> float:
        return _HEIGHT - _BOTTOM - figure / top * (_HEIGHT - _BOTTOM - _TOP)

    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
            'font-size="11" fill="#57606a">'
        ),
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="20" font-size="13" fill="#1f2328">{escape(curve.title)}</text>',
        f'<text x="{_LEFT + _PLOT / 2}" y="{_HEIGHT - 10}" text-anchor="middle">{escape(curve.work)}</text>',
        f'<text transform="translate(14 {_HEIGHT / 2}) rotate(-90)" text-anchor="middle">{escape(curve.figure)}</text>',
    ]
    for step in range(5):
        at = top * step / 4
        parts.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(at):.1f}" y2="{y(at):.1f}" stroke="#d0d7de"/>'
            f'<text x="{_LEFT - 6}" y="{y(at) + 4:.1f}" text-anchor="end">{_number(at)}</text>'
        )
    parts += [
        f'<text x="{x(work):.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{work:,.0f}</text>'
        for work in works
    ]
    for number, (name, line) in enumerate(curve.lines.items()):
        color = _COLORS[number % len(_COLORS)]
        path = " ".join(f"{x(work):.1f},{y(figure):.1f}" for work, figure in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [f'<circle cx="{x(work):.1f}" cy="{y(figure):.1f}" r="3" fill="{color}"/>' for work, figure in line]
        parts.append(
            f'<text x="{_WIDTH - _RIGHT + 12}" y="{_TOP + 14 + number * 18}" fill="{color}">{escape(name)}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


def _nice(value: float) -> float:
    size = 10.0 ** math.floor(math.log10(value))
    return next(step * size for step in (1, 2, 2.5, 5, 10) if step * size >= value)
