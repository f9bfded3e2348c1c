"""One table, in every form in which people and programs take it; the forms are ``tabulate``'s."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from fairseq_vhm.errors import printable

DAGGER, DOUBLE_DAGGER = "†", "‡"
IN_LATEX = {DAGGER: r"$^{\dagger}$", DOUBLE_DAGGER: r"$^{\ddagger}$", "±": r"$\pm$", "−": "$-$"}


@dataclass(frozen=True)
class Table:
    """Cells as they are shown: the first column is text, the others are figures.

    ``notes`` stand below the table, a line each: what the marks mean, how the figures were made.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def plain(self) -> str:
        """For a terminal or a log."""
        return "\n".join([self._tabulate("simple"), *self.notes])

    def markdown(self) -> str:
        """With its title as a heading."""
        notes = [f"{note}  " for note in self.notes]
        return "\n".join([f"### {self.title}", "", self._tabulate("pipe"), "", *notes]).rstrip()

    def latex(self) -> str:
        """A ``table`` for a paper; it needs the package ``booktabs``."""
        body = self._tabulate("latex_booktabs")
        below = [rf"\\[2pt]{{\footnotesize {_latex(note)}}}" for note in self.notes]
        lines = [r"\begin{table}", r"\centering", body, *below, rf"\caption{{{_latex(self.title)}}}"]
        return _marks("\n".join([*lines, r"\end{table}"]))

    def as_json(self) -> dict:
        """``{"title": …, "columns": […], "rows": [[…], …], "notes": […]}``."""
        return asdict(self)

    def _tabulate(self, form: str) -> str:
        from tabulate import tabulate

        bar = r"\|" if form == "pipe" else "|"  # as itself it would end a cell there

        def shown(cells: Sequence[str]) -> list[str]:
            return [printable(str(cell)).replace("|", bar) for cell in cells]

        align = ("left", *["right"] * (len(self.columns) - 1))
        return tabulate(
            [shown(row) for row in self.rows],
            headers=shown(self.columns),
            tablefmt=form,
            colalign=align,
            disable_numparse=True,
        )


def _latex(text: str) -> str:
    """``text`` with LaTeX's special characters escaped, by the library's own rule."""
    from tabulate import LATEX_ESCAPE_RULES

    return "".join(LATEX_ESCAPE_RULES.get(char, char) for char in text)


def _marks(text: str) -> str:
    for mark, command in IN_LATEX.items():
        text = text.replace(mark, command)
    return text
