"""Tiny sequence-to-sequence models of HuggingFace's form, of random weights: made here, in a second, offline.

Their texts are made of the words ``w1`` to ``w9`` of the toy data; vocabularies are SentencePiece's.
"""

import json
import random
import shutil
from pathlib import Path

from fairseq_vhm.text.pretrained import hide_broken_torchaudio

hide_broken_torchaudio()

WORDS = [f"w{i}" for i in range(10)]
STARTS = {"english": "▁<extra_id_1>", "chinese_simplified": "▁<extra_id_0>"}
SHAPE = {"encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
SHAPE |= {"encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "d_model": 32, "init_std": 0.5}


def m2m(folder: Path, seed: int = 0) -> Path:
    """A model of M2M-100's form, with that family's hundred languages."""
    import torch
    from transformers import M2M100Config, M2M100ForConditionalGeneration, M2M100Tokenizer

    pieces = _pieces(folder, bos_id=0, pad_id=1, eos_id=2, unk_id=3)
    numbers = {pieces.id_to_piece(number): number for number in range(len(pieces))}
    (folder / "vocab.json").write_text(json.dumps(numbers), encoding="utf-8")
    tokenizer = M2M100Tokenizer(str(folder / "vocab.json"), str(folder / "pieces.model"))
    tokenizer.save_pretrained(folder)
    size = len(pieces) + len(tokenizer.lang_code_to_id)
    config = M2M100Config(vocab_size=size, max_position_embeddings=64, **SHAPE)
    torch.manual_seed(seed)
    M2M100ForConditionalGeneration(config).save_pretrained(folder)
    return folder


def mt5(folder: Path, seed: int = 0, **settings) -> Path:
    """A model of mT5's form, which knows its languages as CrossSum's does; ``settings`` are its config's."""
    import torch
    from transformers import MT5Config, MT5ForConditionalGeneration

    symbols = list(STARTS.values())
    pieces = _pieces(folder, pad_id=0, eos_id=1, unk_id=2, bos_id=-1, user_defined_symbols=symbols)
    shutil.move(folder / "pieces.model", folder / "spiece.model")
    tokenizer = {"tokenizer_class": "T5Tokenizer", "extra_ids": 0}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    languages = {name: [place, piece] for place, (name, piece) in enumerate(STARTS.items())}
    shape = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2}
    shape |= {"initializer_factor": 3.0}
    shape |= {"decoder_start_token_id": 0, "task_specific_params": {"langid_map": languages}, **settings}
    torch.manual_seed(seed)
    MT5ForConditionalGeneration(MT5Config(vocab_size=len(pieces), **shape)).save_pretrained(folder)
    return folder


def mbart(folder: Path, seed: int = 0) -> Path:
    """A model of mBART's form: twenty-five languages, each known by its code."""
    import torch
    from transformers import MBartConfig, MBartForConditionalGeneration, MBartTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    letters = [*"w0123456789", "▁", *(f"▁{word}" for word in WORDS)]
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    vocabulary = [(piece, 0.0) for piece in special] + [(piece, -len(piece)) for piece in letters]
    tokenizer = MBartTokenizer(vocab=[*vocabulary, *((code, 0.0) for code in ("en_XX", "zh_CN", "fr_XX"))])
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    config = MBartConfig(vocab_size=len(tokenizer), max_position_embeddings=64, **SHAPE)
    MBartForConditionalGeneration(config).save_pretrained(folder)
    return folder


def marian(folder: Path, targets: tuple[str, ...] = (), seed: int = 0) -> Path:
    """A model of Marian's form, en to zh, or into any of ``targets`` as ``>>code<<`` says."""
    import torch
    from transformers import MarianConfig, MarianMTModel, MarianTokenizer

    pieces = _pieces(folder, bos_id=-1, pad_id=-1, eos_id=0, unk_id=1)
    symbols = [pieces.id_to_piece(number) for number in range(len(pieces))]
    symbols += [f">>{code}<<" for code in targets] + ["<pad>"]
    numbers = {symbol: number for number, symbol in enumerate(symbols)}
    (folder / "vocab.json").write_text(json.dumps(numbers), encoding="utf-8")
    for side in ("source", "target"):
        shutil.copyfile(folder / "pieces.model", folder / f"{side}.spm")
    files = (str(folder / name) for name in ("source.spm", "target.spm", "vocab.json"))
    MarianTokenizer(*files, source_lang="en", target_lang="mul" if targets else "zh").save_pretrained(folder)
    pad = numbers["<pad>"]
    config = MarianConfig(
        vocab_size=len(symbols),
        pad_token_id=pad,
        decoder_start_token_id=pad,
        eos_token_id=0,
        forced_eos_token_id=0,
        max_position_embeddings=64,
        **SHAPE,
    )
    torch.manual_seed(seed)
    MarianMTModel(config).save_pretrained(folder)
    return folder


def _pieces(folder: Path, **settings):
    """SentencePiece trained on the words, in ``pieces.model``."""
    import sentencepiece

    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(1)
    lines = [" ".join(draw.choices(WORDS, k=8)) for _ in range(300)]
    prefix = str(folder / "pieces")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_prefix=prefix,
        vocab_size=60,
        hard_vocab_limit=False,
        minloglevel=2,
        **settings,
    )
    (folder / "pieces.vocab").unlink()
    return sentencepiece.SentencePieceProcessor(model_file=f"{prefix}.model")
