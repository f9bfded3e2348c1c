"""Tiny models with random weights, and a tiny classifier of languages: made here, in seconds, offline."""

import json
import random
from pathlib import Path

from fairseq_vhm.text.pretrained import hide_broken_torchaudio

hide_broken_torchaudio()

CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,!?<>'-，。法院今天开庭审理北京上海"
WORDS = ["the", "court", "opened", "on", "monday", "a", "cat", "sat", "mat", "rain", "fell", "here"]
WIDTH, LAYERS, HEADS, POSITIONS = 32, 3, 2, 24

LANGUAGES = {
    "en": ["the", "court", "opened", "on", "a", "monday", "and", "it", "was", "open", "when", "rain", "fell"],
    "de": ["das", "gericht", "wurde", "am", "montag", "und", "nicht", "dienstag", "der", "die", "regen"],
    "zh": ["法", "院", "今", "天", "开", "庭", "审", "理", "北", "京"],
}


def bert(folder: Path, seed: int = 0, layers: int = LAYERS, positions: int = POSITIONS) -> Path:
    """A BERT of random weights with a WordPiece tokenizer: words above, all else by character."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*special, *WORDS, *CHARACTERS, *(f"##{char}" for char in CHARACTERS)]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    BertTokenizer(vocab=vocabulary, model_max_length=positions).save_pretrained(folder)
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=WIDTH,
        num_hidden_layers=layers,
        num_attention_heads=HEADS,
        intermediate_size=2 * WIDTH,
        max_position_embeddings=positions,
        initializer_range=0.4,  # so that texts differ, as they do for a trained model
    )
    BertModel(config).save_pretrained(folder)
    return folder


def roberta(folder: Path, seed: int = 0, stated_limit: int = 10**30, **settings) -> Path:
    """A RoBERTa of random weights with a tokenizer of bytes, trained on the words above.

    By default its tokenizer states no limit of length, as those of some published models;
    ``settings`` are the tokenizer's.
    """
    import torch
    from tokenizers.implementations import ByteLevelBPETokenizer
    from transformers import RobertaConfig, RobertaModel, RobertaTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    trained = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    text = [" ".join(WORDS)] * 4
    trained.train_from_iterator(text, vocab_size=320, special_tokens=special, show_progress=False)
    trained.save_model(str(folder))
    files = {"vocab": str(folder / "vocab.json"), "merges": str(folder / "merges.txt")}
    tokenizer = RobertaTokenizer(**files, model_max_length=stated_limit, **settings)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=2 * WIDTH,
        max_position_embeddings=POSITIONS + 2,
        initializer_range=0.4,
    )
    RobertaModel(config).save_pretrained(folder)
    return folder


def sentence_transformer(folder: Path, seed: int = 0) -> Path:
    """A sentence-transformers folder in LaBSE's form: BERT, first token, normalised."""
    bert(folder, seed)
    modules = [
        ("", "sentence_transformers.models.Transformer"),
        ("1_Pooling", "sentence_transformers.models.Pooling"),
        ("2_Normalize", "sentence_transformers.models.Normalize"),
    ]
    listed = [
        {"idx": place, "name": str(place), "path": path, "type": kind}
        for place, (path, kind) in enumerate(modules)
    ]
    _write(folder / "modules.json", listed)
    _write(folder / "sentence_bert_config.json", {"max_seq_length": POSITIONS, "do_lower_case": False})
    _write(folder / "config_sentence_transformers.json", {"__version__": {}})
    pooling = {"word_embedding_dimension": WIDTH, "pooling_mode_cls_token": True}
    _write(folder / "1_Pooling" / "config.json", {**pooling, "pooling_mode_mean_tokens": False})
    (folder / "2_Normalize").mkdir(exist_ok=True)
    return folder


def language_model(path: Path, labels: dict[str, str] | None = None, **settings) -> Path:
    """A fastText classifier of ``LANGUAGES``; ``labels`` names them otherwise (``zh`` as ``zho_Hans``)."""
    import fasttext

    draw, names = random.Random(5), labels or {}
    lines = [
        f"__label__{names.get(language, language)} {' '.join(draw.choices(words, k=6))}"
        for language, words in LANGUAGES.items()
        for _ in range(200)
    ]
    text = path.with_suffix(".txt")
    text.write_text("\n".join(lines) + "\n", encoding="utf-8")
    # fastText fills a tenth of its matrix a thread (DenseMatrix::uniform): with fewer than ten, or a width
    # that ten does not divide, it trains on whatever was in memory, NaN included.
    kept = {"dim": 10, "thread": 10, "epoch": 30, "lr": 0.5, "minn": 1, "maxn": 2, "bucket": 2000}
    fasttext.train_supervised(str(text), **{**kept, "verbose": 0, **settings}).save_model(str(path))
    return path


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
