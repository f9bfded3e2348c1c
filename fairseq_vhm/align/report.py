"""What a run found: counts by language and pair, cosines, examples near the thresholds, figures."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fairseq_vhm.align.articles import NO_SPLIT, Article
from fairseq_vhm.align.nodes import Nodes
from fairseq_vhm.align.pairs import FOUND, Pairs
from fairseq_vhm.align.settings import SPLITS
from fairseq_vhm.align.similarity import Similarity
from fairseq_vhm.align.splits import Assignment
from fairseq_vhm.tables import Table


@dataclass(frozen=True)
class Report:
    """The figures of a run; ``as_json`` holds all of them.

    Args:
        settings: what the run was told.
        counts: of the whole run, by name.
        nodes, pairs, assignment, similarity: what they are made from.
    """

    settings: Mapping[str, object]
    counts: Mapping[str, int]
    nodes: Nodes
    pairs: Pairs
    assignment: Assignment
    similarity: Similarity

    def languages(self) -> list[dict]:
        """Articles of each language: all, by split, left out, moved."""
        found = []
        for number, articles in enumerate(self.nodes.languages):
            mine = self.nodes.article_language == number
            split, moved = self.assignment.split[mine], self.assignment.moved[mine]
            by_split = {name: int((split == place).sum()) for place, name in enumerate(SPLITS)}
            rest = {"left_out": int((split == NO_SPLIT).sum()), "moved": int(moved.sum())}
            found.append({"language": articles.language, "articles": len(articles), **by_split, **rest})
        return found

    def directions(self) -> list[dict]:
        """Pairs of each direction by split, and those left out; source and target are codes."""
        names = [articles.language for articles in self.nodes.languages]
        size, columns = len(names), [*range(len(SPLITS)), NO_SPLIT]
        codes = self.pairs.languages[:, 0] * size + self.pairs.languages[:, 1]
        found = []
        for code in np.unique(codes):
            split = self.pairs.split[codes == code]
            counts = [int((split == column).sum()) for column in columns]
            row = dict(zip((*SPLITS, "left_out"), counts, strict=True))
            first, second = (names[number] for number in divmod(int(code), size))
            found += [{"source": first, "target": second, **row}, {"source": second, "target": first, **row}]
        return sorted(found, key=lambda one: (one["source"], one["target"]))

    def examples(self) -> list[dict]:
        """Pairs of summaries near the thresholds, with their addresses and texts."""
        return [
            {
                "threshold": near.name,
                "cosine": round(near.cosine, 4),
                "above": near.above,
                **{
                    side: self._summary(node)
                    for side, node in zip(("first", "second"), near.nodes, strict=True)
                },
            }
            for near in self.similarity.examples
        ]

    def as_json(self) -> dict:
        return {
            "format": "vhm align 1",
            "settings": dict(self.settings),
            "counts": dict(self.counts),
            "languages": self.languages(),
            "pairs": self.directions(),
            "similarity": self.similarity.as_json(),
            "examples": self.examples(),
        }

    def tables(self) -> list[Table]:
        """Of the run, of languages, of pairs of languages."""
        totals = [[name.replace("_", " "), f"{count:,}"] for name, count in self.counts.items()]
        languages, pairs = self.languages(), self.directions()
        parts = (*SPLITS, "left_out")
        return [
            Table("Aligned articles", ["", "number"], totals, self.similarity.notes()),
            Table(
                "Articles by language",
                ["language", "articles", *SPLITS, "left out", "moved"],
                [
                    [one["language"], *(f"{one[key]:,}" for key in ("articles", *parts, "moved"))]
                    for one in languages
                ],
            ),
            Table(
                "Pairs by direction",
                ["direction", *SPLITS, "left out"],
                [[f"{one['source']}-{one['target']}", *(f"{one[key]:,}" for key in parts)] for one in pairs],
                ["Left out: pairs with an article of another split than the articles that it is joined to."],
            ),
        ]

    def markdown(self) -> str:
        """All tables and the examples."""
        heads = ["cosine", "threshold", "taken", "summaries"]
        lines = ["### Near the thresholds", "", f"| {' | '.join(heads)} |", "|---:|---|---|---|"]
        for one in self.examples():
            shown = "<br>".join(
                _cell(f"{one[side]['lang']}: {one[side]['summary']}") for side in ("first", "second")
            )
            taken = "yes" if one["above"] else "no"
            lines.append(f"| {one['cosine']:.4f} | {one['threshold']} | {taken} | {shown} |")
        return "\n\n".join([*(table.markdown() for table in self.tables()), "\n".join(lines)]) + "\n"

    def _summary(self, node: int) -> dict:
        articles, place = self.nodes.place(self.nodes.article[node])
        article: Article = next(articles.read([place]))
        return {"lang": articles.language, "url": article.url, "summary": article.summary}


def count(nodes: Nodes, pairs: Pairs, assignment: Assignment) -> dict[str, int]:
    """The figures of the whole run."""
    kept = ~pairs.dropped
    units = np.bincount(assignment.unit)
    return {
        "languages": len(nodes.languages),
        "articles": len(assignment.split),
        "distinct_summaries": len(nodes.key),
        "pairs": int(kept.sum()),
        **{f"{name}_pairs": int((kept & (pairs.found == place)).sum()) for place, name in enumerate(FOUND)},
        "pairs_by_the_lower_threshold": int((kept & pairs.lowered).sum()),
        "pairs_left_out": int(pairs.dropped.sum()),
        "articles_left_out": int(assignment.left_out.sum()),
        "articles_moved": int(assignment.moved.sum()),
        "units_of_several_articles": int((units > 1).sum()),
        "articles_of_the_largest_unit": int(units.max()),
    }


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
