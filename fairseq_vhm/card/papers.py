"""The two papers, and how they and the software are cited: BibTeX and the Citation File Format."""

from collections.abc import Sequence
from dataclasses import dataclass

import yaml

import fairseq_vhm


@dataclass(frozen=True)
class Paper:
    """``authors`` are pairs of family and given names."""

    key: str
    title: str
    authors: Sequence[tuple[str, str]]
    year: int
    meeting: str
    doi: str

    @property
    def proceedings(self) -> str:
        return f"Proceedings of the {self.meeting} (Volume 1: Long Papers)"

    def bibtex(self) -> str:
        """An entry for a bibliography."""
        authors = " and ".join(f"{family}, {given}" for family, given in self.authors)
        lines = {"title": f"{{{self.title}}}", "author": authors, "booktitle": self.proceedings}
        lines |= {"year": str(self.year), "doi": self.doi, "url": f"https://doi.org/{self.doi}"}
        body = ",\n".join(f"  {name} = {{{text}}}" for name, text in lines.items())
        return f"@inproceedings{{{self.key},\n{body}\n}}"

    def cff(self) -> dict:
        """A reference of a ``CITATION.cff``."""
        return {
            "type": "conference-paper",
            "title": self.title,
            "authors": [{"family-names": family, "given-names": given} for family, given in self.authors],
            "year": self.year,
            "doi": self.doi,
            "collection-title": self.proceedings,
            "conference": {"name": self.meeting},
        }


VHM = Paper(
    "liang2022variational",
    "A Variational Hierarchical Model for Neural Cross-Lingual Summarization",
    (
        *(("Liang", "Yunlong"), ("Meng", "Fandong"), ("Zhou", "Chulun"), ("Xu", "Jinan")),
        *(("Chen", "Yufeng"), ("Su", "Jinsong"), ("Zhou", "Jie")),
    ),
    2022,
    "60th Annual Meeting of the Association for Computational Linguistics",
    "10.18653/v1/2022.acl-long.148",
)
CROSSSUM = Paper(
    "bhattacharjee2023crosssum",
    "CrossSum: Beyond English-Centric Cross-Lingual Summarization for 1,500+ Language Pairs",
    (
        *(("Bhattacharjee", "Abhik"), ("Hasan", "Tahmid"), ("Ahmad", "Wasi Uddin")),
        *(("Li", "Yuan-Fang"), ("Kang", "Yong-Bin"), ("Shahriyar", "Rifat")),
    ),
    2023,
    "61st Annual Meeting of the Association for Computational Linguistics",
    "10.18653/v1/2023.acl-long.143",
)


def citation_file(followed: Sequence[Paper]) -> str:
    """``CITATION.cff`` of the software; the first paper that the model follows is the preferred one."""
    references = [VHM, *(paper for paper in followed if paper != VHM)]
    document = {
        "cff-version": "1.2.0",
        "message": "If you use this model or the software that trained it, please cite the paper it follows.",
        "title": "fairseq_vhm",
        "type": "software",
        "authors": [{"name": "The fairseq_vhm authors"}],
        "version": fairseq_vhm.__version__,
        "license": "MIT",
        "preferred-citation": followed[0].cff(),
        "references": [paper.cff() for paper in references],
    }
    return as_yaml(document)


def as_yaml(document: dict) -> str:
    """``document`` as a block of YAML, its keys in their order."""
    return yaml.dump(document, Dumper=_NoAliases, sort_keys=False, allow_unicode=True, width=1 << 20)


class _NoAliases(yaml.SafeDumper):
    """Writes what is there twice, twice."""

    def ignore_aliases(self, data: object) -> bool:
        return True
