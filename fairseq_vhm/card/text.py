"""The card itself: the hub's metadata in front, and what a reader wants to know behind it."""

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

import fairseq_vhm
from fairseq_vhm.card.facts import MANY, TRIO, Facts
from fairseq_vhm.card.labels import escaped, without_folders
from fairseq_vhm.card.papers import as_yaml
from fairseq_vhm.card.settings import in_force
from fairseq_vhm.language_codes import is_code
from fairseq_vhm.report.runs import Scores
from fairseq_vhm.report.systems import BASELINE
from fairseq_vhm.tables import Table
from fairseq_vhm.text.symbols import language_of

TASK_NAMES = {"cls": "cross-lingual summarization", "mt": "translation", "ms": "monolingual summarization"}
PRECISIONS = ("fp16", "bf16", "amp")
PIPELINE = "summarization"
REGION = re.compile(r"_(?=[A-Z])(?!XX)")
HEADLINES = ("f", "value")
LOCAL = ("z_mt", "z_ms")


def card(facts: Facts, license_name: str | None = None) -> str:
    """``README.md``."""
    sections = {
        "Model": _model(facts),
        "Data": _data(facts),
        "Settings that differ from the defaults": _settings(facts),
        "Training": _training(facts),
        "Scores": _scores(facts),
        "How to use it": _usage(facts),
        "Limits": _limits(facts),
        "Citation": _citation(facts),
    }
    front = as_yaml(front_matter(facts, license_name))
    body = [f"## {title}\n\n" + "\n".join(lines) for title, lines in sections.items()]
    return "\n\n".join([f"---\n{front}---\n\n# {escaped(facts.name)}", *body]) + "\n"


def front_matter(facts: Facts, license_name: str | None = None) -> dict:
    """The metadata in the form of the hub; languages, license and results as far as they are known."""
    written = dict.fromkeys(REGION.sub("-", suffix) for suffix in facts.data.languages)
    codes = [code for code in written if is_code(code)]
    languages = list(dict.fromkeys(map(language_of, facts.data.languages)))
    languages = [language for language in languages if is_code(language)]
    regional = [code for code in codes if "-" in code]
    found: dict[str, Any] = {"language": languages} if languages else {}
    found |= {"language_bcp47": codes} if regional else {}
    found |= {"license": license_name} if license_name else {}
    found |= {"library_name": "fairseq", "pipeline_tag": PIPELINE, "tags": _tags(facts)}
    if results := [_result(facts, scores) for scores in facts.scores]:
        found["metrics"] = list(dict.fromkeys(name for scores in facts.scores for name in scores.headlines()))
        found["model-index"] = [{"name": facts.name, "results": results}]
    return found


def _tags(facts: Facts) -> list[str]:
    tags = ["fairseq", "fairseq_vhm", "cross-lingual-summarization", str(facts.settings["arch"])]
    return [*tags, *(["vhm"] if facts.latents else []), *(["crosssum"] if facts.task == MANY else [])]


def _result(facts: Facts, scores: Scores) -> dict:
    """An entry of the model index: one file of scores."""
    pair = "-".join(scores.languages or ())
    several = f" ({scores.path.name})" if len(facts.scores) > 1 and not pair else ""
    dataset = {"type": facts.data.name, "name": f"{facts.data.name} {pair}".strip() + several}
    dataset |= {"config": pair} if pair else {}
    metrics = [
        {"type": name, "name": name, "value": value, "args": {"signature": scores.signature[name]}}
        for name, value in scores.headlines().items()
    ]
    return {"task": {"type": PIPELINE, "name": "Summarization"}, "dataset": dataset, "metrics": metrics}


def _model(facts: Facts) -> Iterator[str]:
    settings = facts.settings
    learned = ", ".join(TASK_NAMES[task] for task in facts.tasks if task in TASK_NAMES)
    yield f"- system: {escaped(facts.system)}" + (f", {escaped(facts.ablation)}" if facts.ablation else "")
    yield f"- architecture: `{settings['arch']}`, {facts.checkpoint.parameters:,} parameters"
    yield f"- task: `{facts.task}`" + (f" (learned: {learned})" if learned else "")
    yield f"- latents: {_latents(facts)}"
    yield f"- checkpoint: `{facts.checkpoint.path.name}`"
    yield f"- trained with fairseq_vhm, a plugin of fairseq (this card: version {fairseq_vhm.__version__})"


def _latents(facts: Facts) -> str:
    if not facts.latents:
        return f"none (as {BASELINE})" if facts.system == BASELINE else "none"
    named = ", ".join(f"`{name}`" for name in facts.latents)
    local = " and ".join(f"`{name}`" for name in facts.latents if name in LOCAL)
    how = ""
    if "z_cls" in facts.latents and local:
        cut = bool(facts.settings.get("no_hierarchy"))
        how = f"; `z_cls` {'does not depend' if cut else 'depends'} on {local}"
    return f"{named}, of {facts.settings.get('latent_dim')} dimensions each{how}"


def _data(facts: Facts) -> Iterator[str]:
    data = facts.data
    yield f"Trained from a folder named `{data.name}`."
    if data.direction:
        yield f"Documents are in `{data.direction[0]}`, summaries in `{data.direction[1]}`."
    elif data.languages:
        yield f"{len(data.languages)} languages: {', '.join(data.languages)}."
    else:
        yield "Its languages are not known here."
    if data.pairs:
        splits = list(dict.fromkeys(split for counts in data.pairs.values() for split in counts))
        rows = [
            [escaped(task), *(f"{counts[split]:,}" if split in counts else "" for split in splits)]
            for task, counts in data.pairs.items()
        ]
        yield ""
        yield Table("Pairs in the folder", ["task", *map(escaped, splits)], rows).markdown()


def _settings(facts: Facts) -> Iterator[str]:
    chosen = ", ".join(f"{section.replace('_', ' ')} `{name}`" for section, name in facts.chosen.items())
    if chosen:
        yield f"{chosen[0].upper()}{chosen[1:]}."
    if not facts.differing:
        yield "All other settings are the defaults."
        return
    yield from ("Of paths the last part is given.", "", "```yaml")
    for name, value in facts.differing.items():
        yield f"{name}: {json.dumps(without_folders(value))}".replace("`", "\\u0060")
    yield "```"


def _training(facts: Facts) -> Iterator[str]:
    settings = facts.settings
    yield f"- updates: {facts.checkpoint.updates:,}"
    if isinstance(settings.get("seed"), int):
        yield f"- seed: {settings['seed']}"
    if precision := [name for name in PRECISIONS if settings.get(name) is True]:
        yield f"- precision: {', '.join(precision)}"
    if facts.best is None:
        yield "- best validation value: none is recorded in the checkpoint"
    else:
        yield f"- best validation value recorded in the checkpoint: {facts.best:g} (`{facts.metric}`)"


def _scores(facts: Facts) -> Iterator[str]:
    if not facts.scores:
        yield "None were given."
        return
    yield "Figures and signatures as `vhm score` wrote them."
    for scores in facts.scores:
        yield ""
        yield _table(scores).markdown()
        yield from ("", "```")
        yield from (f"{name}: {signature}" for name, signature in scores.signature.items())
        yield "```"


def _table(scores: Scores) -> Table:
    headlines = scores.headlines()
    rows = []
    for name, parts in scores.metric.items():
        others = [f"{escaped(part)} {figure}" for part, figure in parts.items() if part not in HEADLINES]
        rows.append([escaped(name), str(headlines.get(name, "")), ", ".join(others)])
    of = f", {'-'.join(scores.languages)}" if scores.languages else ""
    title = f"{escaped(scores.path.name)}{escaped(of)}, {scores.count:,} outputs"
    return Table(title, ("metric", "score", "further figures"), rows)


def _usage(facts: Facts) -> Iterator[str]:
    yield "With fairseq_vhm installed and the prepared data at hand (their dictionary is the model's):"
    yield from ("", "```bash", *_commands(facts), "```")
    if facts.task == MANY:
        yield "\nA line for `fairseq-interactive` begins with the language to write, such as `<2en>`."
    if facts.latents:
        yield "\nLatents take the mean of their priors; `--latent-inference sample` draws them instead."


def _commands(facts: Facts) -> Iterator[str]:
    data, checkpoint = map(_here, (facts.data.name, facts.checkpoint.path.name))
    task = f"--task {facts.task}{_task_flags(facts)}"
    common = f"{data} --user-dir fairseq_vhm {task} \\\n    --path {checkpoint}"
    search = "--beam 4 --lenpen 0.6"
    joined, cut = "", ""
    if model := facts.data.spm_model:
        joined = " --remove-bpe sentencepiece"
        cut = f" \\\n    --bpe sentencepiece --sentencepiece-model {data}/{shlex.quote(model)}"
    yield f"fairseq-generate {common} {search}{joined} > test.log"
    yield f"fairseq-interactive {common} {search}{cut} < documents.txt"


def _here(name: str) -> str:
    """A name as a word of the shell, and never taken for a flag."""
    return shlex.quote(f"./{name}" if name.startswith("-") else name)


def _task_flags(facts: Facts) -> str:
    """Flags without which the task would not find what the model was trained for."""
    flags = ""
    if facts.task == TRIO and facts.tasks and "cls" not in facts.tasks:
        flags += f" --eval-task {facts.tasks[0]}"
    given = [facts.settings.get(name) for name in ("source_lang", "target_lang")]
    if facts.task == TRIO and all(given):
        flags += f" --source-lang {shlex.quote(str(given[0]))} --target-lang {shlex.quote(str(given[1]))}"
    return flags


def _limits(facts: Facts) -> Iterator[str]:
    longest = in_force("max_source_positions", facts.checkpoint)  # marks included
    yield "- Nothing in training or decoding checks that a summary says what its document says."
    if isinstance(longest, int):
        yield f"- A document of more than {longest:,} tokens is cut there, in training and in decoding."
    yield "- Texts must be segmented as those of the training data were."
    if facts.task == TRIO and facts.data.direction:
        yield "- It has learned this one direction, not the other way round."
    if facts.task == MANY:
        yield "- It writes the languages that it was trained for; outputs can still be in a wrong one."
    if facts.scores:
        yield "- Scores hold for the outputs that were scored; the files do not say which model made them."
        yield "- Scores whose signatures differ cannot be compared."
    else:
        yield "- How good its summaries are is not stated here."


def _citation(facts: Facts) -> Iterator[str]:
    yield f"The model follows {_papers(facts)}; `CITATION.cff` has it for programs."
    yield from ("", "```bibtex", "\n\n".join(paper.bibtex() for paper in facts.papers), "```")


def _papers(facts: Facts) -> str:
    several: Sequence[str] = [
        f"{paper.authors[0][0]} et al. ({paper.year}, [{paper.doi}](https://doi.org/{paper.doi}))"
        for paper in facts.papers
    ]
    return " and ".join(several)
