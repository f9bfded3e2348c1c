"""The papers of the systems, which of them a model follows, and how they and the software are cited: BibTeX
and the Citation File Format."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

import fairseq_vhm


@dataclass(frozen=True)
class Paper:
    """``authors`` are pairs of family and given names; what is of no meeting is in a volume of a journal."""

    key: str
    title: str
    authors: Sequence[tuple[str, str]]
    year: int
    published_in: str
    doi: str
    meeting: str = ""
    volume: int | None = None

    def bibtex(self) -> str:
        """An entry for a bibliography."""
        authors = " and ".join(f"{family}, {given}" for family, given in self.authors)
        kind, home = ("inproceedings", "booktitle") if self.meeting else ("article", "journal")
        lines = {"title": f"{{{self.title}}}", "author": authors, home: self.published_in}
        lines |= {"volume": str(self.volume)} if self.volume else {}
        lines |= {"year": str(self.year), "doi": self.doi, "url": f"https://doi.org/{self.doi}"}
        body = ",\n".join(f"  {name} = {{{text}}}" for name, text in lines.items())
        return f"@{kind}{{{self.key},\n{body}\n}}"

    def cff(self) -> dict:
        """A reference of a ``CITATION.cff``."""
        reference: dict[str, Any] = {
            "type": "conference-paper" if self.meeting else "article",
            "title": self.title,
            "authors": [{"family-names": family, "given-names": given} for family, given in self.authors],
            "year": self.year,
            "doi": self.doi,
        }
        if not self.meeting:
            return reference | {"journal": self.published_in, "volume": self.volume}
        return reference | {"collection-title": self.published_in, "conference": {"name": self.meeting}}


_ACL = "Annual Meeting of the Association for Computational Linguistics"
_LONG = "(Volume 1: Long Papers)"
_EMNLP = (
    "2019 Conference on Empirical Methods in Natural Language Processing and the 9th International Joint "
    "Conference on Natural Language Processing (EMNLP-IJCNLP)"
)
_AACL = (
    "1st Conference of the Asia-Pacific Chapter of the Association for Computational Linguistics and the "
    "10th International Joint Conference on Natural Language Processing"
)
_NAACL = (
    "2021 Conference of the North American Chapter of the Association for Computational Linguistics: Human "
    "Language Technologies"
)
VHM = Paper(
    "liang2022variational",
    "A Variational Hierarchical Model for Neural Cross-Lingual Summarization",
    (
        *(("Liang", "Yunlong"), ("Meng", "Fandong"), ("Zhou", "Chulun"), ("Xu", "Jinan")),
        *(("Chen", "Yufeng"), ("Su", "Jinsong"), ("Zhou", "Jie")),
    ),
    2022,
    f"Proceedings of the 60th {_ACL} {_LONG}",
    "10.18653/v1/2022.acl-long.148",
    f"60th {_ACL}",
)
CROSSSUM = Paper(
    "bhattacharjee2023crosssum",
    "CrossSum: Beyond English-Centric Cross-Lingual Summarization for 1,500+ Language Pairs",
    (
        *(("Bhattacharjee", "Abhik"), ("Hasan", "Tahmid"), ("Ahmad", "Wasi Uddin")),
        *(("Li", "Yuan-Fang"), ("Kang", "Yong-Bin"), ("Shahriyar", "Rifat")),
    ),
    2023,
    f"Proceedings of the 61st {_ACL} {_LONG}",
    "10.18653/v1/2023.acl-long.143",
    f"61st {_ACL}",
)
NCLS = Paper(
    "zhu2019ncls",
    "NCLS: Neural Cross-Lingual Summarization",
    (
        *(("Zhu", "Junnan"), ("Wang", "Qian"), ("Wang", "Yining"), ("Zhou", "Yu")),
        *(("Zhang", "Jiajun"), ("Wang", "Shaonan"), ("Zong", "Chengqing")),
    ),
    2019,
    f"Proceedings of the {_EMNLP}",
    "10.18653/v1/D19-1302",
    _EMNLP,
)
ATS = Paper(
    "zhu2020attend",
    "Attend, Translate and Summarize: An Efficient Method for Neural Cross-Lingual Summarization",
    (("Zhu", "Junnan"), ("Zhou", "Yu"), ("Zhang", "Jiajun"), ("Zong", "Chengqing")),
    2020,
    f"Proceedings of the 58th {_ACL}",
    "10.18653/v1/2020.acl-main.121",
    f"58th {_ACL}",
)
MS_CLS_REC = Paper(
    "cao2020jointly",
    "Jointly Learning to Align and Summarize for Neural Cross-Lingual Summarization",
    (("Cao", "Yue"), ("Liu", "Hui"), ("Wan", "Xiaojun")),
    2020,
    f"Proceedings of the 58th {_ACL}",
    "10.18653/v1/2020.acl-main.554",
    f"58th {_ACL}",
)
MLPT = Paper(
    "xu2020mixed",
    "Mixed-Lingual Pre-training for Cross-lingual Summarization",
    (("Xu", "Ruochen"), ("Zhu", "Chenguang"), ("Shi", "Yu"), ("Zeng", "Michael"), ("Huang", "Xuedong")),
    2020,
    f"Proceedings of the {_AACL}",
    "10.18653/v1/2020.aacl-main.53",
    _AACL,
)
MBART = Paper(
    "liu2020multilingual",
    "Multilingual Denoising Pre-training for Neural Machine Translation",
    (
        *(("Liu", "Yinhan"), ("Gu", "Jiatao"), ("Goyal", "Naman"), ("Li", "Xian"), ("Edunov", "Sergey")),
        *(("Ghazvininejad", "Marjan"), ("Lewis", "Mike"), ("Zettlemoyer", "Luke")),
    ),
    2020,
    "Transactions of the Association for Computational Linguistics",
    "10.1162/tacl_a_00343",
    volume=8,
)
MT5 = Paper(
    "xue2021mt5",
    "mT5: A Massively Multilingual Pre-trained Text-to-Text Transformer",
    (
        *(("Xue", "Linting"), ("Constant", "Noah"), ("Roberts", "Adam"), ("Kale", "Mihir")),
        *(("Al-Rfou", "Rami"), ("Siddhant", "Aditya"), ("Barua", "Aditya"), ("Raffel", "Colin")),
    ),
    2021,
    f"Proceedings of the {_NAACL}",
    "10.18653/v1/2021.naacl-main.41",
    _NAACL,
)
OF_ARCHITECTURE = {"ats_transformer": ATS, "ms_cls_rec_transformer": MS_CLS_REC}
PRE_TRAINED = {"vhm_mbart": MBART, "hf_mt5": MT5}
"""Beginning of an architecture's name -> what it was pre-trained by."""


def followed(settings: Mapping, latents: Sequence[str], tasks: Sequence[str], many: bool) -> list[Paper]:
    """The papers that a model follows: its system's, that of many languages, that of what it started from.

    Args:
        settings: of its checkpoint.
        latents: that it has.
        tasks: that it was trained on.
        many: whether it is of many languages.
    """
    arch = str(settings.get("arch")).removesuffix("_tiny")
    of_start = [paper for beginning, paper in PRE_TRAINED.items() if arch.startswith(beginning)]
    found = [*_of_system(arch, settings, latents), *([CROSSSUM] if many else []), *of_start]
    return found or [_of_transformer(settings, tasks)]


def _of_system(arch: str, settings: Mapping, latents: Sequence[str]) -> list[Paper]:
    """Those of what a Transformer has beside its layers."""
    if arch in OF_ARCHITECTURE:
        return [OF_ARCHITECTURE[arch]]
    return [*([MLPT] if settings.get("pretraining_tasks") else []), *([VHM] if latents else [])]


def _of_transformer(settings: Mapping, tasks: Sequence[str]) -> Paper:
    """That of a Transformer without latents: TNCLS, MS-CLS and MT-CLS, or MT-MS-CLS and what is like it."""
    return NCLS if list(tasks) == ["cls"] or settings.get("decoders") == "task" else VHM


def citation_file(followed: Sequence[Paper]) -> str:
    """``CITATION.cff`` of the software; the first paper that the model follows is the preferred one."""
    document = {
        "cff-version": "1.2.0",
        "message": "If you use this model or the software that trained it, please cite the paper it follows.",
        "title": "fairseq_vhm",
        "type": "software",
        "authors": [{"name": "The fairseq_vhm authors"}],
        "version": fairseq_vhm.__version__,
        "license": "MIT",
        "preferred-citation": followed[0].cff(),
        "references": [paper.cff() for paper in followed],
    }
    return as_yaml(document)


def as_yaml(document: dict) -> str:
    """``document`` as a block of YAML, its keys in their order."""
    return yaml.dump(document, Dumper=_NoAliases, sort_keys=False, allow_unicode=True, width=1 << 20)


class _NoAliases(yaml.SafeDumper):
    """Writes what is there twice, twice."""

    def ignore_aliases(self, data: object) -> bool:
        return True
