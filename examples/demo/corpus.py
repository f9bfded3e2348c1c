"""Write the demo's bilingual news: a small invented world, told in English and in Chinese.

    python examples/demo/corpus.py OUT [--seed 1] [--cls-train 2000] [--json]

What is written (UTF-8, one text a line, the two sides of a task aligned by line):

=============================  ====================================================
``OUT/cls.PART.{en,zh}``       CLS: English document, Chinese summary
``OUT/mt.PART.{en,zh}``        MT: English sentence, Chinese sentence
``OUT/ms.PART.{en,en_sum}``    MS: English document, English summary
``OUT/cls.test.lead_zh``       a correct Chinese translation of each CLS test
                               document's first sentence (for the lead baseline)
=============================  ====================================================

PART is ``train``, ``valid`` or ``test``. Nothing is downloaded and nothing is copied: lexicon and
templates are `world.toml` beside this file, every sentence of which was written for this project.
Cities and countries exist; companies, teams, institutes and persons are invented, events too.

**A document** (30 to 60 words) tells one event in one sentence and a fact about it in the next.
Around them stand sentences that do not matter: an opening, some background with names and numbers
of the same kinds, other news. The event opens about two documents in five. **The summary** (8 to
14 words, 12 to 22 characters) joins the event to the fact in other words than the document's, so
it must select, fuse and rephrase; each summary has two possible phrasings.

**What the tasks share.** All three draw on one lexicon and one set of templates. Each part of MS begins
with the documents of the same part of CLS, as in NCLS, whose CLS pairs are translated MS pairs; the
others are its own. MT sentences come from documents and, a quarter of them, from summaries. The names
called `unseen` in `world.toml` (a third of them) are never in CLS train. They are in MT train and MS
train, and in CLS valid and test like any other name: about two thirds of the CLS test documents, and
two fifths of their summaries, have a name that only MT and MS can teach.

**No leaks.** All documents differ; no summary of valid or test, in either language, and no MT
sentence of theirs, occurs in any training set.

**Same bytes everywhere.** Each part has its own generator, seeded with an integer, of which only
`random.Random.random()` is used: the one method whose sequence Python promises not to change. So
a part does not depend on the sizes of the others, but for what it must not repeat and for how many
documents MS has from CLS; and a smaller training set of CLS or MT is the beginning of a larger one.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import re
import tempfile
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

WORLD = Path(__file__).with_name("world.toml")

SIDES = {"cls": ("en", "zh"), "mt": ("en", "zh"), "ms": ("en", "en_sum")}
PARTS = ("test", "valid", "train")
"""In the order in which they are told: training sets must avoid what the others hold."""

SIZES = {
    ("cls", "train"): 2000,
    ("mt", "train"): 6000,
    ("ms", "train"): 6000,
    **{(task, "valid"): 200 for task in SIDES},
    **{(task, "test"): 300 for task in SIDES},
}
"""Examples in each part of each task, unless the command line says otherwise; those of MS include CLS's."""

PATIENCE = 10_000
"""Attempts in a row that may fail to give a new example, before the world counts as told out."""

DOCUMENT_WORDS = range(30, 61)
SENTENCE_WORDS = range(8, 21)
SUMMARY_WORDS = range(8, 15)
SUMMARY_CHARACTERS = range(12, 23)

LAYOUTS = (
    ("main", "detail", "background"),
    ("main", "detail", "aside"),
    ("main", "detail", "background", "aside"),
    ("opening", "main", "detail"),
    ("opening", "main", "detail", "background"),
    ("opening", "main", "detail", "aside"),
    ("aside", "main", "detail", "background"),
    ("aside", "main", "detail"),
)
"""Orders of a document's sentences; the detail speaks of the event, so it follows at once."""

HEADLINE_SHARE = 0.25
"""Share of MT pairs that are summaries; the others are sentences of documents."""

SLOT = re.compile(r"\{(?P<name>(?P<kind>[a-z]+)\d?)(?:\.(?P<form>\w+))?\}")

Entry = Mapping[str, str]
Choice = TypeVar("Choice")


@dataclass(frozen=True)
class Pair:
    """A text in both languages: a template with slots, or what a scene made of it."""

    en: str
    zh: str


@dataclass(frozen=True)
class Detail:
    """A fact that summaries take up, with the summaries that take it up."""

    body: Sequence[Pair]
    summary: Sequence[Pair]


@dataclass(frozen=True)
class Event:
    """The templates of one kind of event."""

    name: str
    main: Sequence[Pair]
    opening: Sequence[Pair]
    background: Sequence[Pair]
    details: Sequence[Detail]


@dataclass(frozen=True)
class World:
    """The lexicon (entries by kind), the kinds' names unseen in CLS train, and the templates."""

    lexicon: Mapping[str, Sequence[Entry]]
    unseen: Mapping[str, Sequence[Entry]]
    events: Sequence[Event]
    asides: Sequence[Pair]
    joints: Sequence[Pair]

    def without_unseen(self) -> World:
        """The same world with the unseen names struck from the lexicon."""
        lexicon = {
            kind: [entry for entry in entries if entry not in self.unseen.get(kind, ())]
            for kind, entries in self.lexicon.items()
        }
        return World(lexicon, self.unseen, self.events, self.asides, self.joints)


@dataclass(frozen=True)
class Story:
    """A document, sentence by sentence in both languages, and its summary in both."""

    sentences: Sequence[Pair]
    summary: Pair

    @property
    def document(self) -> str:
        """The whole document in English."""
        return " ".join(pair.en for pair in self.sentences)


# ------------------------------------------------------------------------------------- the world


def load_world(path: Path = WORLD) -> World:
    """Read lexicon and templates from a TOML file laid out like `world.toml`."""
    with path.open("rb") as file:
        raw = tomllib.load(file)
    unseen = {kind: _entries(names["unseen"]) for kind, names in raw["names"].items()}
    lexicon = {kind: _entries(names["seen"]) for kind, names in raw["names"].items()}
    lexicon = {kind: entries + unseen[kind] for kind, entries in lexicon.items()}
    lexicon |= {kind: _entries(words) for kind, words in raw["words"].items()}
    lexicon |= {
        kind: [_with_article(form) for form in forms] for kind, forms in raw["forms"].items()
    }
    events = [_event(table) for table in raw["event"]]
    return World(
        lexicon, unseen, events, _pairs(raw["aside"]["sentences"]), _pairs(raw["aside"]["joints"])
    )


def _entries(rows: Sequence[Sequence[str]]) -> list[Entry]:
    return [_with_article({"en": english, "zh": chinese}) for english, chinese in rows]


def _with_article(entry: dict[str, str]) -> Entry:
    article = "an" if entry["en"][0] in "aeiou" else "a"
    return entry | {"a": f"{article} {entry['en']}"}


def _pairs(rows: Sequence[Sequence[str]]) -> list[Pair]:
    return [Pair(english, chinese) for english, chinese in rows]


def _event(table: Mapping) -> Event:
    details = [Detail(_pairs(one["body"]), _pairs(one["summary"])) for one in table["detail"]]
    parts = {part: _pairs(table[part]) for part in ("main", "opening", "background")}
    return Event(name=table["name"], details=details, **parts)


# ------------------------------------------------------------------------------ telling a story


def pick(rng: random.Random, choices: Sequence[Choice]) -> Choice:
    """One of `choices`, by `rng.random()` alone (see the module's note on same bytes)."""
    return choices[int(rng.random() * len(choices))]


@dataclass
class Scene:
    """Who and what a story is about: an entry for each slot, no entry twice."""

    rng: random.Random
    lexicon: Mapping[str, Sequence[Entry]]
    bound: dict[str, Entry] = field(default_factory=dict)
    used: list[Entry] = field(default_factory=list)

    def elsewhere(self) -> Scene:
        """A scene of other people in other places: nothing is bound, all that is used stays so."""
        return Scene(self.rng, self.lexicon, {}, self.used)

    def tell(self, template: Pair) -> Pair:
        """Fill a template's slots in both languages, casting new entries where needed."""
        for slot in SLOT.finditer(template.en):
            if slot["name"] not in self.bound:
                self.bound[slot["name"]] = self._cast(slot["kind"])
        return Pair(_capitalised(self._filled(template.en, "en")), self._filled(template.zh, "zh"))

    def _cast(self, kind: str) -> Entry:
        entry = pick(self.rng, [one for one in self.lexicon[kind] if one not in self.used])
        self.used.append(entry)
        return entry

    def _filled(self, template: str, language: str) -> str:
        return SLOT.sub(lambda slot: self.bound[slot["name"]][slot["form"] or language], template)


def _capitalised(text: str) -> str:
    start = 1 if text.startswith('"') else 0
    return text[:start] + text[start : start + 1].upper() + text[start + 1 :]


def tell_story(rng: random.Random, world: World) -> Story:
    """A random document with its summary; its lengths are not checked here."""
    scene = Scene(rng, world.lexicon)
    event = pick(rng, world.events)
    detail = pick(rng, event.details)
    layout = pick(rng, LAYOUTS)
    body = {
        "main": event.main,
        "detail": detail.body,
        "opening": event.opening,
        "background": event.background,
    }
    told = {part: scene.tell(pick(rng, body[part])) for part in layout if part != "aside"}
    if "aside" in layout:
        told["aside"] = _tell_aside(scene.elsewhere(), world, joined=layout[0] != "aside")
    return Story([told[part] for part in layout], scene.tell(pick(rng, detail.summary)))


def _tell_aside(scene: Scene, world: World, joined: bool) -> Pair:
    sentence = pick(scene.rng, world.asides)
    joint = pick(scene.rng, world.joints) if joined else Pair("", "")
    return scene.tell(Pair(joint.en + sentence.en, joint.zh + sentence.zh))


def tell_sentence(rng: random.Random, world: World) -> Pair:
    """A random sentence or headline in both languages."""
    story = tell_story(rng, world)
    return story.summary if rng.random() < HEADLINE_SHARE else pick(rng, story.sentences)


# ------------------------------------------------------------------------- parts, without leaks


class ToldOut(Exception):
    """The world has fewer different examples than were asked for."""


@dataclass
class Ledger:
    """What has been told, so that no part repeats what it must not."""

    sources: set[str] = field(default_factory=set)
    held_out: set[str] = field(default_factory=set)

    def admits(self, texts: Mapping[str, str], held_out: bool) -> bool:
        """Enter an example's texts and say yes, unless they repeat another's.

        No source text comes twice. What is `held_out` (valid, test) has no text that was held out
        before, and nothing told later, of whatever task, has one of its texts.
        """
        if texts["en"] in self.sources or not self.held_out.isdisjoint(texts.values()):
            return False
        self.sources.add(texts["en"])
        if held_out:
            self.held_out.update(texts.values())
        return True


def tell_example(rng: random.Random, world: World, task: str) -> dict[str, str] | None:
    """A random example's texts by side, or None if one is shorter or longer than it may be."""
    if task == "mt":
        pair = tell_sentence(rng, world)
        return {"en": pair.en, "zh": pair.zh} if len(pair.en.split()) in SENTENCE_WORDS else None
    story = tell_story(rng, world)
    fits = (
        len(story.document.split()) in DOCUMENT_WORDS
        and len(story.summary.en.split()) in SUMMARY_WORDS
        and len(story.summary.zh) in SUMMARY_CHARACTERS
    )
    texts = {"en": story.document, "zh": story.summary.zh, "en_sum": story.summary.en}
    return texts | {"lead_zh": story.sentences[0].zh} if fits else None


def tell_part(
    rng: random.Random,
    world: World,
    ledger: Ledger,
    task: str,
    part: str,
    size: int,
    shared: Sequence[dict[str, str]] = (),
) -> list[dict[str, str]]:
    """The examples of one part of one task, each as its texts by side: those it shares, then its own.

    Raises:
        ToldOut: the world has fewer than `size` examples that the ledger admits.
    """
    examples = list(shared[:size])
    misses = 0
    while len(examples) < size:
        texts = tell_example(rng, world, task)
        if texts and ledger.admits(texts, held_out=part != "train"):
            examples.append(texts)
            misses = 0
        elif (misses := misses + 1) > PATIENCE:
            told = f"the world has only {len(examples)} different ones; ask for fewer"
            raise ToldOut(f"--{task}-{part} {size}: {told}")
    return examples


def build(
    seed: int, sizes: Mapping[tuple[str, str], int] = SIZES, world: World | None = None
) -> dict[str, list[str]]:
    """All lines of the corpus by file name, for instance `cls.train.en`.

    Args:
        seed: a whole number from 0.
        sizes: examples by task and part; what is not named has the size of `SIZES`.
        world: lexicon and templates; `world.toml` unless given.

    Raises:
        ToldOut: more examples were asked for than the world has.
    """
    world = world or load_world()
    ledger = Ledger()
    files: dict[str, list[str]] = {}
    of_cls: list[dict[str, str]] = []  # CLS comes before MS in each part
    for number, (part, task) in enumerate(itertools.product(PARTS, SIDES)):
        known = world.without_unseen() if (task, part) == ("cls", "train") else world
        rng = random.Random(seed * len(PARTS) * len(SIDES) + number)
        size = sizes.get((task, part), SIZES[task, part])
        shared = of_cls if task == "ms" else ()
        examples = tell_part(rng, known, ledger, task, part, size, shared)
        of_cls = examples if task == "cls" else of_cls
        sides = SIDES[task] + (("lead_zh",) if (task, part) == ("cls", "test") else ())
        files |= {f"{task}.{part}.{side}": [texts[side] for texts in examples] for side in sides}
    return files


# ------------------------------------------------------------------------------------ the command


def write(files: Mapping[str, Sequence[str]], folder: Path) -> None:
    """Write each file whole, in a temporary folder inside `folder`, then move all into place."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".corpus-") as temporary:
        for name, lines in files.items():
            text = "".join(f"{line}\n" for line in lines)
            Path(temporary, name).write_bytes(text.encode("utf-8"))
        for name in files:
            os.replace(Path(temporary, name), folder / name)


def share_with_unseen(lines: Sequence[str], world: World, language: str) -> float:
    """Share of the lines with a name that CLS train never shows; 0 to 1."""
    names = [entry[language] for entries in world.unseen.values() for entry in entries]
    return sum(any(name in line for name in names) for line in lines) / len(lines)


def describe(files: Mapping[str, Sequence[str]], world: World) -> dict:
    """Lines and mean length (words; characters for Chinese) by file, and shares of unseen names."""

    def length(name: str, line: str) -> int:
        return len(line) if name.endswith("zh") else len(line.split())

    return {
        "files": {
            name: {
                "lines": len(lines),
                "mean_length": round(sum(length(name, line) for line in lines) / len(lines), 1),
            }
            for name, lines in sorted(files.items())
        },
        "unseen_in_cls_train": {
            "test_documents": round(share_with_unseen(files["cls.test.en"], world, "en"), 3),
            "test_summaries": round(share_with_unseen(files["cls.test.zh"], world, "zh"), 3),
        },
    }


def _print_table(description: Mapping, folder: Path) -> None:
    print(f"{'file':<18}{'lines':>7}{'mean length':>13}")
    for name, row in description["files"].items():
        print(f"{name:<18}{row['lines']:>7}{row['mean_length']:>13}")
    shares = description["unseen_in_cls_train"]
    print(
        f"{shares['test_documents']:.0%} of the CLS test documents and "
        f"{shares['test_summaries']:.0%} of their summaries have a name that CLS train lacks."
    )
    print(f"Written to {folder}.")


def _whole_number(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least}")
        return int(text)

    return parse


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="corpus.py", description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder to write to; made if there is none")
    parser.add_argument("--seed", type=_whole_number(0), default=1, help="(default: %(default)s)")
    for (task, part), size in SIZES.items():
        parser.add_argument(
            f"--{task}-{part}",
            type=_whole_number(1),
            default=size,
            metavar="N",
            help="examples (default: %(default)s)",
        )
    parser.add_argument("--json", action="store_true", help="describe what was written as JSON")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """The command: write the corpus and say what it holds."""
    parser = _arguments()
    given = parser.parse_args(arguments)
    world = load_world()
    sizes = {(task, part): getattr(given, f"{task}_{part}") for task, part in SIZES}
    try:
        files = build(given.seed, sizes, world)
        write(files, given.out)
    except (ToldOut, OSError) as error:
        parser.exit(2, f"corpus.py: error: {error}\n")
    description = describe(files, world)
    if given.json:
        print(json.dumps(description, indent=2))
    else:
        _print_table(description, given.out)


if __name__ == "__main__":
    main()
