"""Small things that tests share: a dictionary, a model of width 16, a binarised toy corpus."""

import argparse
import random
from pathlib import Path
from types import SimpleNamespace

import torch
from fairseq.data import Dictionary
from fairseq_cli import preprocess

from fairseq_vhm.data.loading import TASKS, task_tag
from fairseq_vhm.models import VHMTransformerModel
from fairseq_vhm.models.architectures import vhm_transformer

WORDS = [f"w{i}" for i in range(40)]
LANGUAGES = {"cls": ("en", "zh"), "mt": ("en", "zh"), "ms": ("en", "en_sum")}
SMALL = {
    "encoder_embed_dim": 16,
    "encoder_ffn_embed_dim": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "latent_dim": 8,
    "dropout": 0.0,
}


def make_dictionary(words=WORDS) -> Dictionary:
    """A dictionary of ``words`` with the tags of the tasks at its end, as the task loads it."""
    dictionary = Dictionary()
    for word in [*words, *map(task_tag, TASKS)]:
        dictionary.add_symbol(word)
    return dictionary


def make_model(dictionary: Dictionary | None = None, seed: int = 1, **flags) -> VHMTransformerModel:
    """A small model; ``flags`` by their Python names, as on the command line otherwise."""
    dictionary = dictionary or make_dictionary()
    args = argparse.Namespace(**{**SMALL, **flags})
    vhm_transformer(args)
    task = SimpleNamespace(source_dictionary=dictionary, target_dictionary=dictionary)
    torch.manual_seed(seed)
    return VHMTransformerModel.build_model(args, task)


def make_batch(
    dictionary: Dictionary, task: str = "cls", lengths=((7, 4), (5, 6), (3, 2)), seed: int = 1
) -> dict:
    """A batch as fairseq collates it: sources padded on the left, targets on the right."""
    random_ids = random.Random(seed)
    pad, eos = dictionary.pad(), dictionary.eos()

    def text(length: int) -> list[int]:
        return [random_ids.randrange(4, 4 + len(WORDS)) for _ in range(length)]

    sources = [[dictionary.index(task_tag(task)), *text(n), eos] for n, _ in lengths]
    targets = [[*text(n), eos] for _, n in lengths]
    width, height = max(map(len, sources)), max(map(len, targets))
    shifted = [[eos, *t[:-1]] for t in targets]
    return {
        "id": torch.arange(len(lengths)),
        "nsentences": len(lengths),
        "ntokens": sum(map(len, targets)),
        "target": torch.tensor([t + [pad] * (height - len(t)) for t in targets]),
        "net_input": {
            "src_tokens": torch.tensor([[pad] * (width - len(s)) + s for s in sources]),
            "src_lengths": torch.tensor([len(s) for s in sources]),
            "prev_output_tokens": torch.tensor([t + [pad] * (height - len(t)) for t in shifted]),
            "task": task,
        },
    }


def write_corpus(folder: Path, sizes: dict[str, dict[str, int]], seed: int = 1) -> None:
    """Raw toy text: a document is a run of words; CLS mirrors its first ones, MT mirrors all of it, MS
    repeats the first ones.  ``sizes``: task -> split -> number of pairs."""
    rng = random.Random(seed)
    for task, splits in sizes.items():
        source_lang, target_lang = LANGUAGES[task]
        for split, size in splits.items():
            sources, targets = [], []
            for _ in range(size):
                document = [rng.choice(WORDS[:20]) for _ in range(rng.randint(4, 9))]
                mirrored = [f"w{int(word[1:]) + 20}" for word in document]
                sources.append(document)
                targets.append({"cls": mirrored[:3], "mt": mirrored, "ms": document[:3]}[task])
            for lang, texts in ((source_lang, sources), (target_lang, targets)):
                path = folder / "text" / task / f"{split}.{lang}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("".join(" ".join(t) + "\n" for t in texts), encoding="utf-8")


def binarise(folder: Path, sizes: dict[str, dict[str, int]]) -> Path:
    """fairseq-preprocess for each task of a corpus of :func:`write_corpus`; the DATA folder."""
    dictionary = Dictionary()
    for word in WORDS:
        dictionary.add_symbol(word)
    dictionary.save(str(folder / "dict.txt"))
    data = folder / "DATA"
    parser = preprocess.options.get_preprocessing_parser()
    for task, splits in sizes.items():
        source_lang, target_lang = LANGUAGES[task]
        arguments = ["-s", source_lang, "-t", target_lang, "--destdir", str(data / task)]
        arguments += ["--srcdict", str(folder / "dict.txt"), "--tgtdict", str(folder / "dict.txt")]
        for split in splits:
            arguments += [f"--{split}pref", str(folder / "text" / task / split)]
        preprocess.main(parser.parse_args(arguments))
    return data
