"""Pictures of a report: training curves, few-shot curves (Figures 2 and 3 of Liang et al., ACL 2022)."""

import io
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fairseq_vhm.errors import UserError, printable
from fairseq_vhm.metrics.rouge import NAMES as ROUGE
from fairseq_vhm.names import TASKS
from fairseq_vhm.report.logs import INNER, VALID, TrainingLog
from fairseq_vhm.report.results import Result, TestResults

Curve = tuple[list[float], list[float]]

FONTS = ("DejaVu Sans", "Noto Sans CJK SC", "WenQuanYi Zen Hei", "Noto Sans Arabic")
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "svg.hashsalt": "fairseq_vhm",
}
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5b6675", "#f0e442")
"""Okabe and Ito's, which people of every colour vision tell apart."""
STYLES = ("-", "--", ":", "-.")
MARKERS = "osD^vPX*"
SHOWN = {"rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L"}
DPI = 200
PANEL = (3.1, 2.5)  # inches
POINTS = 500  # of a curve, at most
DOTS = 25  # of a curve of validation, about
WEIGHT = "kl_weight"
BITS, NATS = "bits a token", "nats a sentence"


@dataclass(frozen=True)
class Figure:
    """A picture under a file name, with what it shows in words and in figures."""

    name: str
    title: str
    caption: str
    png: bytes
    svg: bytes
    data: dict


@dataclass(frozen=True)
class Named:
    """A training log with its run's name; runs of one ``system`` share a colour."""

    run: str
    system: str
    log: TrainingLog


def training_figure(name: str, title: str, logs: Sequence[Named]) -> Figure | None:
    """NLL of each task, KL and active units of each latent, and the KL's weight, over the updates.

    ``None`` where no log has a point.
    """
    panels = [panel for panel in _training_panels() if any(panel.curves(one.log) for one in logs)]
    if not panels:
        return None
    systems = list(dict.fromkeys(one.system for one in logs))
    with canvas(len(panels), columns=4) as (figure, axes):
        for panel, ax in zip(panels, axes, strict=True):
            ax.set(title=panel.title, xlabel="updates", ylabel=panel.unit)
            for one in logs:
                colour = COLOURS[systems.index(one.system) % len(COLOURS)]
                panel.draw(ax, one, colour, _style(logs, one))
            panel.finish(ax)
        legend(figure, axes, systems)
        caption = (
            "Training over the updates. Lines: training; dots: validation. NLL as fairseq logs it, in bits"
            " a token; each KL in nats a sentence; active units (Burda et al., 2016) in validation."
        )
        return picture(figure, name, title, caption, _training_data(panels, logs))


def few_shot_figure(one: TestResults) -> Figure | None:
    """ROUGE over the share of the CLS training pairs; ``None`` without systems that have several."""
    results = one.few_shot()
    names = list(dict.fromkeys(result.system.name for result in results if result.mean(ROUGE[0])))
    shares = sorted({result.system.fraction for result in results})
    if not names:
        return None
    data: dict = {}
    with canvas(len(ROUGE), columns=3) as (figure, axes):
        for metric, ax in zip(ROUGE, axes, strict=True):
            for place, name in enumerate(names):
                points = _few_shot_points(results, name, metric)
                data.setdefault(name, {})[metric] = points
                share, mean, spread = zip(*points, strict=True)
                ax.errorbar(
                    [100 * x for x in share],
                    mean,
                    yerr=[y or 0 for y in spread],
                    color=COLOURS[place % len(COLOURS)],
                    marker=MARKERS[place % len(MARKERS)],
                    markersize=4,
                    capsize=2,
                    label=in_legend(name),
                )
            ax.set(title=SHOWN[metric], xlabel="CLS training pairs (%)", ylabel="F1", xscale="log")
            ax.set_xticks([100 * x for x in shares], [f"{100 * x:g}" for x in shares])
            ax.minorticks_off()
        legend(figure, axes, names)
        title = f"Few-shot, {one.test.name}"
        caption = "ROUGE over the share of the CLS training pairs; bars: standard deviation over seeds."
        return picture(figure, f"few_shot_{file_name(one.test.name)}", title, caption, data)


def read_matplotlib() -> Any:
    """The library, kept from telling of fonts where fairseq has set all loggers to ``DEBUG``.

    Raises:
        UserError: where it is not installed.
    """
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    try:
        import matplotlib
        import matplotlib.font_manager
    except ImportError as error:
        raise UserError("figures need matplotlib: pip install 'fairseq-vhm[report]'") from error
    return matplotlib


@contextmanager
def canvas(panels: int, columns: int, panel: tuple[float, float] = PANEL) -> Iterator[tuple[Any, Any]]:
    """A figure of ``panels`` axes in rows of at most ``columns``."""
    matplotlib = read_matplotlib()
    from matplotlib.figure import Figure as Canvas

    known = {font.name for font in matplotlib.font_manager.fontManager.ttflist}
    style = STYLE | {"font.family": [font for font in FONTS if font in known]}
    across = min(panels, columns)
    down = -(-panels // across)
    with matplotlib.rc_context(style):
        figure = Canvas(figsize=(panel[0] * across, panel[1] * down), layout="constrained")
        axes = figure.subplots(down, across, squeeze=False).flatten()
        for unused in axes[panels:]:
            unused.remove()
        yield figure, axes[:panels]


def legend(figure: Any, axes: Iterable, names: Sequence[str]) -> None:
    """One legend below all panels, in the order of ``names``."""
    handles: dict = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    shown = [label for label in map(in_legend, names) if label in handles]
    columns = min(len(shown), 4)
    figure.legend([handles[n] for n in shown], shown, loc="outside lower center", ncols=columns)


def literal(name: str) -> str:
    """A user's name as matplotlib shows it as it is: between two ``$`` it would read mathematics."""
    return printable(name).replace("$", r"\$")


def in_legend(name: str) -> str:
    """Such a name as a label: matplotlib leaves out those that begin with ``_``."""
    return literal(f" {name}" if name.startswith("_") else name)


def picture(figure: Any, name: str, title: str, caption: str, data: dict) -> Figure:
    """The drawn figure in both formats; equal figures give equal bytes."""
    figure.get_layout_engine().execute(figure)
    figure.set_layout_engine("none")  # laid out once, for both
    drawn = {}
    for form, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=form, dpi=DPI, metadata=metadata)
        drawn[form] = buffer.getvalue()
    return Figure(name, title, caption, drawn["png"], drawn["svg"], data)


def file_name(text: str) -> str:
    """``text`` as a part of a file name."""
    return re.sub(r"\W+", "_", text).strip("_")


@dataclass(frozen=True)
class _Panel:
    """One panel of the training curves: figures of the log by key, in training and in validation."""

    title: str
    unit: str
    keys: tuple[str, ...]
    kinds: tuple[str, ...] = (INNER, VALID)
    log_scale: bool = False

    def curves(self, log: TrainingLog) -> dict[tuple[str, str], Curve]:
        """Curves that have points, by kind and key."""
        if self.keys == (WEIGHT,) and not any(log.series(INNER, f"kl_{task}")[0] for task in TASKS):
            return {}
        wanted = [(kind, key) for kind in self.kinds for key in self.keys]
        found = {(kind, key): thin(log.series(kind, key)) for kind, key in wanted}
        return {which: curve for which, curve in found.items() if curve[0]}

    def draw(self, ax: Any, one: Named, colour: str, style: str) -> None:
        for (kind, key), (x, y) in self.curves(one.log).items():
            label = in_legend(one.system)
            drawn = {"color": colour, "label": label, "linestyle": style, "linewidth": 1}
            if kind == VALID:
                alone = self.kinds == (VALID,)
                drawn |= {"linestyle": style if alone else "none", "markersize": 3.5}
                drawn |= {"marker": MARKERS[self.keys.index(key)], "markevery": max(1, len(x) // DOTS)}
            ax.plot(x, y, **drawn)

    def finish(self, ax: Any) -> None:
        """Scales; and which marker is which figure, where there are several."""
        from matplotlib.lines import Line2D

        if self.log_scale:
            ax.set_yscale("log")
        elif self.keys == (WEIGHT,) or len(self.keys) > 1:
            ax.set_ylim(bottom=0, top=max(1.0, ax.get_ylim()[1]))
        if len(self.keys) > 1:
            marks = [Line2D([], [], color="0.3", marker=mark, linestyle="none") for mark in MARKERS]
            names = [latent(key.partition("_")[2]) for key in self.keys]
            ax.legend(marks[: len(names)], names, markerscale=0.7, handletextpad=0.1)


def latent(task: str) -> str:
    """The paper's name of a task's latent, as mathematics."""
    return f"$z_{{{task}}}$"


def _training_panels() -> list[_Panel]:
    nll = [_Panel(f"NLL, {task.upper()}", BITS, (f"nll_loss_{task}",)) for task in TASKS]
    weight = _Panel("weight of the KL", "λ", (WEIGHT,), kinds=(INNER,))
    kl = [_Panel(f"KL, {latent(task)}", NATS, (f"kl_{task}",), log_scale=True) for task in TASKS]
    units = _Panel("active units", "dimensions", tuple(f"au_{task}" for task in TASKS), kinds=(VALID,))
    return [*nll, weight, *kl, units]


def _training_data(panels: Sequence[_Panel], logs: Sequence[Named]) -> dict:
    """Run -> kind -> key -> [updates, values]."""
    data: dict = {}
    for one in logs:
        for panel in panels:
            for (kind, key), curve in panel.curves(one.log).items():
                data.setdefault(one.run, {}).setdefault(kind, {})[key] = curve
    return data


def _few_shot_points(
    results: Sequence[Result], name: str, metric: str
) -> list[tuple[float, float, float | None]]:
    """Share, mean and spread of a system, from few to many pairs."""
    found = [(one.system.fraction, one.mean(metric)) for one in results if one.system.name == name]
    return sorted((share, mean.value, mean.spread) for share, mean in found if mean)


def thin(curve: Curve, points: int = POINTS) -> Curve:
    """At most ``points`` of a curve, evenly chosen, the first and the last among them."""
    x, y = curve
    if len(x) <= points:
        return curve
    chosen = [round(i * (len(x) - 1) / (points - 1)) for i in range(points)]
    return [x[i] for i in chosen], [y[i] for i in chosen]


def _style(logs: Sequence[Named], one: Named) -> str:
    """Runs of one system share a colour and differ in their lines."""
    kin = [other for other in logs if other.system == one.system]
    return STYLES[kin.index(one) % len(STYLES)]
