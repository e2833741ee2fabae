# SPDX-License-Identifier: Apache-2.0
"""Plots of an evaluation: files of PNG and SVG, and one page of HTML that holds everything.

They need matplotlib, an extra of the package.
"""

from __future__ import annotations

import html
import io
from typing import TYPE_CHECKING

from kryonix_cache.reference_impl.evaluation.arms import ARMS
from kryonix_cache.reference_impl.evaluation.errors import PlotsMissingError
from kryonix_cache.reference_impl.evaluation.experiment import NONE
from kryonix_cache.reference_impl.evaluation.report import (
    lines,
    reliability,
    replay_rows,
    rows,
    sentences,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from kryonix_cache.reference_impl.evaluation.experiment import Evaluation

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 68rem }
table { border-collapse: collapse; margin: 1rem 0 }
td, th { padding: .2rem .7rem; text-align: right }
td:nth-child(-n+2), th:nth-child(-n+2) { text-align: left }
tr:nth-child(even) { background: #f3f4f6 }
svg { max-width: 100%; height: auto }
"""


def require_plots() -> None:
    """Raise PlotsMissingError where matplotlib is not installed."""
    try:
        # Late, because it is an extra and takes a second to import.
        import matplotlib as mpl  # noqa: PLC0415
    except ImportError:
        raise PlotsMissingError from None
    # Text stays text in SVG, and two runs make the same file.
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "kryonix-cache"})


def write_plots(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write `saved`, `confidence` (PNG and SVG) and `evaluation.html`; return the files.

    Raises:
        PlotsMissingError: matplotlib is not installed.

    """
    require_plots()
    figures = {"saved": _saved(evaluation), "confidence": _confidence(evaluation)}
    written = []
    drawings = []
    for name, figure in figures.items():
        for kind in ("png", "svg"):
            data = _rendered(figure, kind)
            path = folder / f"{name}.{kind}"
            path.write_bytes(data)
            written.append(path)
        drawings.append(data.decode())
    page = folder / "evaluation.html"
    page.write_text(_page(evaluation, drawings), encoding="utf-8")
    return [*written, page]


def _saved(evaluation: Evaluation) -> Figure:
    from matplotlib.figure import Figure  # noqa: PLC0415 (see require_plots)

    table = lines(evaluation)
    names = list(dict.fromkeys(line.series for line in table))
    arms = [arm for arm in ARMS if arm != NONE]
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(arms)
    for number, arm in enumerate(arms):
        own = [line for line in table if line.arm == arm]
        axes.bar(
            [place + number * width for place in range(len(names))],
            [line.saved_percent for line in own],
            width,
            yerr=[line.noise or 0.0 for line in own],
            label=arm,
        )
    axes.set_xticks([place + 0.4 - width / 2 for place in range(len(names))], names)
    axes.set_ylabel("misses saved, % of those without preload")
    axes.set_title(_caption(evaluation), fontsize=8)
    axes.legend(fontsize=8)
    return figure


def _confidence(evaluation: Evaluation) -> Figure:
    from matplotlib.figure import Figure  # noqa: PLC0415 (see require_plots)

    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    bins = reliability(evaluation.played)
    axes.plot([0, 1], [0, 1], color="0.7")
    axes.plot([each["stated"] for each in bins], [each["came_true"] for each in bins], "o-")
    axes.set_xlabel("stated probability")
    axes.set_ylabel("share that came true")
    axes.set_title(_caption(evaluation, "\n"), fontsize=7)
    return figure


def _caption(evaluation: Evaluation, gap: str = " ") -> str:
    made_up = dict.fromkeys(one.synthetic for one in evaluation.played)
    text = "; ".join(text for text in made_up if text)
    return text.replace(": ", f":{gap}", 1)


def _rendered(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else None
    figure.savefig(buffer, format=kind, dpi=120, metadata=metadata)
    return buffer.getvalue()


def _page(evaluation: Evaluation, drawings: Sequence[str]) -> str:
    said = "".join(f"<p>{html.escape(text)}</p>" for text in sentences(evaluation))
    drawn = "".join(drawing[drawing.index("<svg") :] for drawing in drawings)
    tables = _table(rows(evaluation)) + _table(replay_rows(evaluation))
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>Evaluation of preloading"
        f"</title><style>{_STYLE}</style><h1>Evaluation of preloading</h1>{said}{drawn}{tables}"
        "</html>\n"
    )


def _table(table: Sequence[Mapping[str, object]]) -> str:
    if not table:
        return ""
    head = "".join(f"<th>{html.escape(name.replace('_', ' '))}</th>" for name in table[0])
    body = "".join(
        "<tr>"
        + "".join(f"<td>{html.escape(_cell(value))}</td>" for value in row.values())
        + "</tr>"
        for row in table
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)
