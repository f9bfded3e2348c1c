"""A small mT5 as its makers publish theirs: config, weights, SentencePiece model; nothing of fairseq_vhm.

The model is HuggingFace's with random weights, its output layer apart from its embeddings as in mT5; the
vocabulary is trained by SentencePiece with mT5's settings (no beginning of sentence, padding first, bytes for
unknown characters) and gets the hundred sentinels behind it, as mC4's has.
"""

import json
import random
import sys
from pathlib import Path

import numpy as np
import sentencepiece
import torch
from fairseq.data import Dictionary
from sentencepiece.sentencepiece_model_pb2 import ModelProto

# transformers imports torchaudio where it is installed, and fails if it was built for another torch
sys.modules.setdefault("torchaudio", None)

SHAPE = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 4}
SPARE = 12
"""Rows of the embeddings behind the last piece; mT5 has as many."""
SUBJECTS = ["the river", "a storm", "our village", "the old bridge", "heavy rain", "the harbour", "the mayor"]
VERBS = ["reached", "crossed", "closed", "watched", "flooded", "repaired", "opened", "left"]
PLACES = ["the valley", "the northern road", "the market", "the school", "a field", "the station"]
CHINESE = ["河水", "风暴", "村庄", "大桥", "暴雨", "港口", "市长", "到达", "关闭", "观看", "淹没", "修理"]


def texts(seed: int, size: int) -> list[str]:
    """Sentences, English and Chinese in turn."""
    rng = random.Random(seed)
    english = [f"{rng.choice(SUBJECTS)} {rng.choice(VERBS)} {rng.choice(PLACES)}." for _ in range(size)]
    return ["".join(rng.choices(CHINESE, k=4)) + "。" if i % 2 else text for i, text in enumerate(english)]


def parallel(seed: int, size: int) -> tuple[list[str], list[str]]:
    """As many English sentences as Chinese, no two alike."""
    lines = list(dict.fromkeys(texts(seed, 40 * size)))
    english, chinese = ([line for line in lines if line.isascii() == ascii] for ascii in (True, False))
    return english[:size], chinese[:size]


def train_spm(path: Path, pieces: int = 480, sentinels: int = 100) -> int:
    """A vocabulary of mT5's form with ``pieces`` of its own; returns how many it has in all."""
    settings = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1, "byte_fallback": True}
    with (path.with_suffix(".plain")).open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts(1, 400)),
            model_writer=file,
            vocab_size=pieces,
            character_coverage=0.999,
            minloglevel=2,
            **settings,
        )
    model = ModelProto.FromString(path.with_suffix(".plain").read_bytes())
    path.with_suffix(".plain").unlink()
    for number in reversed(range(sentinels)):
        piece = model.pieces.add()
        piece.piece, piece.score, piece.type = f"▁<extra_id_{number}>", 0.0, piece.USER_DEFINED
    model.trainer_spec.vocab_size = len(model.pieces)
    path.write_bytes(model.SerializeToString())
    return len(model.pieces)


def make_config(vocab_size: int, **settings) -> dict:
    """``config.json`` as mT5's publishers write it."""
    return {
        "architectures": ["MT5ForConditionalGeneration"],
        "model_type": "mt5",
        "vocab_size": vocab_size,
        "feed_forward_proj": "gated-gelu",
        "dropout_rate": 0.1,
        "relative_attention_num_buckets": 32,
        "decoder_start_token_id": 0,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "tie_word_embeddings": False,
        **SHAPE,
        **settings,
    }


def make_model(config: dict, seed: int = 1, tied: bool = False):
    """HuggingFace's model with random weights, norms among them.

    One direction of its states is the same everywhere, and the output layer reads the end of a text off it,
    so that texts end after some tokens.
    """
    from transformers import MT5Config, MT5ForConditionalGeneration

    torch.manual_seed(seed)
    model = MT5ForConditionalGeneration(MT5Config.from_dict(config)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.add_(torch.randn_like(parameter), alpha=0.2)
        if not tied:
            model.shared.weight[:, 0] = 4.0
            weight = torch.randn_like(model.shared.weight) * 0.3
            weight[:, 0] = 0.0
            weight[config["eos_token_id"], 0] = 2.0
            model.lm_head.weight = torch.nn.Parameter(weight)
    return model


def publish(folder: Path, seed: int = 1, form: str = "safetensors", tied: bool = False, **settings):
    """Write config, weights and vocabulary into ``folder``; returns HuggingFace's model."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    rows = train_spm(folder / "spiece.model") + SPARE
    config = make_config(rows, **settings)
    (folder / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    model = make_model(config, seed, tied)
    weights = model.state_dict()
    if form == "bin":
        torch.save(weights, folder / "pytorch_model.bin")
        return model
    twice = ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"][: 2 + tied]
    weights = {name: value.contiguous() for name, value in weights.items() if name not in twice}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return model


def plain_dictionary(symbols: list[str]) -> Dictionary:
    """One of fairseq's own."""
    dictionary = Dictionary()
    for symbol in symbols:
        dictionary.add_symbol(symbol)
    return dictionary


def binarise(folder: Path, data: Path, dictionary: str, sizes: dict[str, int]) -> list[str]:
    """``DATA/cls`` for ``cross_lingual_summarization``: texts to summarise by copying; the test sources.

    Ids are SentencePiece's own; ``dictionary`` is the content of the dictionary files.
    """
    from fairseq.data.indexed_dataset import MMapIndexedDatasetBuilder

    processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model"))
    (data / "cls").mkdir(parents=True)
    for language in ("en", "zh"):
        (data / "cls" / f"dict.{language}.txt").write_text(dictionary, encoding="utf-8")
    for seed, (split, size) in enumerate(sizes.items()):
        lines = texts(seed + 10, size)
        for language in ("en", "zh"):
            prefix = str(data / "cls" / f"{split}.en-zh.{language}")
            builder = MMapIndexedDatasetBuilder(f"{prefix}.bin", dtype=np.int32)
            for line in lines:
                builder.add_item(torch.tensor([*processor.encode(line), 1]))
            builder.finalize(f"{prefix}.idx")
    return lines
