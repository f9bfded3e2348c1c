"""A small mBART as its makers publish theirs: checkpoint, dictionary without languages, SentencePiece model.

Made by fairseq's own BART and its architecture ``mbart_large``, with the settings that ``mbart.cc25`` was
trained with, and by SentencePiece's own trainer with its usual normalisation; nothing of fairseq_vhm.
"""

import random
import sys
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

import sentencepiece
import torch
from fairseq.data import Dictionary
from fairseq.models.bart import BARTModel
from fairseq.models.bart.model import mbart_large_architecture

# transformers imports torchaudio where it is installed, and fails if it was built for another torch
sys.modules.setdefault("torchaudio", None)

LANGS = "de_DE,en_XX,zh_CN"
TAGS = ("<cls>", "<mt>", "<ms>")
SHAPE = {
    "encoder_embed_dim": 16,
    "encoder_ffn_embed_dim": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "max_source_positions": 64,
    "max_target_positions": 64,
    "dropout": 0.0,
}
FLAGS = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in SHAPE.items()).split()
SUBJECTS = ["the river", "a storm", "our village", "the old bridge", "heavy rain", "the harbour", "the mayor"]
VERBS = ["reached", "crossed", "closed", "watched", "flooded", "repaired", "opened", "left"]
PLACES = ["the valley", "the northern road", "the market", "the school", "a field", "the station"]
CHINESE = ["河水", "风暴", "村庄", "大桥", "暴雨", "港口", "市长", "到达", "关闭", "观看", "淹没", "修理"]
GERMAN = ["der Fluss", "das Dorf", "die Brücke", "erreichte", "sperrte", "überflutete", "den Markt", "Tal"]


def english(rng: random.Random) -> str:
    """A sentence."""
    return f"{rng.choice(SUBJECTS)} {rng.choice(VERBS)} {rng.choice(PLACES)}, {rng.choice(VERBS)} in May."


def chinese(rng: random.Random) -> str:
    """A run of words with an ideographic blank and full stop."""
    words = [rng.choice(CHINESE) for _ in range(5)]
    return "".join(words[:3]) + "\u3000" + "".join(words[3:]) + "。"


def texts(seed: int, size: int) -> dict[str, list[str]]:
    """Texts in English and Chinese, ``size`` of each."""
    rng = random.Random(seed)
    return {"en": [english(rng) for _ in range(size)], "zh": [chinese(rng) for _ in range(size)]}


def german(seed: int, size: int) -> list[str]:
    """Texts that no corpus of the tests needs."""
    rng = random.Random(seed)
    return [" ".join(rng.choice(GERMAN) for _ in range(5)) for _ in range(size)]


def train_spm(path: Path, vocab_size: int = 240, model_type: str = "unigram") -> Path:
    """A SentencePiece model of all three languages, with its usual (NFKC) normalisation."""
    lines = [line for part in texts(1, 300).values() for line in part] + german(1, 300)
    with path.open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=file,
            vocab_size=vocab_size,
            model_type=model_type,
            character_coverage=1.0,
            minloglevel=2,
        )
    return path


def pieces(spm: Path) -> list[str]:
    """The pieces of a model beside its special ones, in order."""
    processor = sentencepiece.SentencePieceProcessor(model_file=str(spm))
    return [processor.id_to_piece(i) for i in range(3, processor.get_piece_size())]


def make_dictionary(symbols: list[str], langs: str = LANGS) -> Dictionary:
    """As fairseq's ``translation_from_pretrained_bart`` has it."""
    dictionary = Dictionary()
    for symbol in [*symbols, *(f"[{code}]" for code in langs.split(",") if code)]:
        dictionary.add_symbol(symbol)
    dictionary.add_symbol("<mask>")
    return dictionary


def make_args(**settings) -> Namespace:
    """Settings of ``mbart.cc25``, in a small size."""
    norms = {"encoder_normalize_before": True, "decoder_normalize_before": True, "layernorm_embedding": True}
    task = {"task": "multilingual_denoising", "langs": LANGS, "arch": "mbart_large"}
    args = Namespace(**{**SHAPE, **norms, **task, **settings})
    mbart_large_architecture(args)
    return args


def make_bart(dictionary: Dictionary, seed: int = 1, **settings) -> BARTModel:
    """fairseq's own mBART with random weights, norms and biases among them."""
    torch.manual_seed(seed)
    task = Namespace(source_dictionary=dictionary, target_dictionary=dictionary)
    model = BARTModel.build_model(make_args(**settings), task)
    for name, parameter in model.named_parameters():
        noise = torch.randn_like(parameter)
        parameter.data.add_(noise, alpha=0.3 if "norm" in name or name.endswith("bias") else 0.1)
    return model.eval()


def save(model: BARTModel, path: Path, **settings) -> Path:
    """In the format of early 2020, when ``mbart.cc25`` was published: a ``Namespace``, no zip archive."""
    weights = dict(model.state_dict())
    del weights["decoder.output_projection.weight"]  # fairseq added it later
    state = {
        "args": make_args(**settings),
        "model": weights,
        "optimizer_history": [{"optimizer_name": "FairseqAdam", "num_updates": 5, "lr_scheduler_state": {}}],
        "extra_state": {"epoch": 1},
        "last_optimizer_state": {"state": {}, "param_groups": []},
    }
    torch.save(state, path, _use_new_zipfile_serialization=False)
    return path


@dataclass(frozen=True)
class Published:
    """The files of a small mBART, and the model that they hold."""

    folder: Path
    spm: Path
    dict: Path
    checkpoint: Path
    dictionary: Dictionary
    model: BARTModel


def publish(folder: Path, with_tags: bool = False, **settings) -> Published:
    """Make and write one; ``with_tags`` puts the tasks' tags among the texts' symbols."""
    spm = train_spm(folder / "sentence.bpe.model")
    symbols = [*pieces(spm), *(TAGS if with_tags else ())]
    plain = Dictionary()
    for symbol in symbols:
        plain.add_symbol(symbol)
    plain.save(str(folder / "dict.txt"))
    dictionary = make_dictionary(symbols)
    model = make_bart(dictionary, **settings)
    checkpoint = save(model, folder / "model.pt", **settings)
    return Published(folder, spm, folder / "dict.txt", checkpoint, dictionary, model)


def write_corpora(folder: Path, sizes: dict[str, int], seed: int = 2) -> Path:
    """Raw corpora of the three tasks: summaries are the first words; returns ``folder``."""
    rng = random.Random(seed)
    for task, (source, target) in {"cls": ("en", "zh"), "mt": ("en", "zh"), "ms": ("en", "en_sum")}.items():
        (folder / task).parent.mkdir(parents=True, exist_ok=True)
        for split, size in sizes.items():
            sources = [english(rng) + " " + english(rng) for _ in range(size)]
            targets = [" ".join(s.split()[:4]) if task == "ms" else chinese(rng) for s in sources]
            for suffix, lines in ((source, sources), (target, targets)):
                path = folder / f"{task}.{split}.{suffix}"
                path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return folder
