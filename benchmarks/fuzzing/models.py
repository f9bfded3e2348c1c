"""Readers of what comes with a model: segmentation, ``config.json``, names of languages."""

from pathlib import Path

from fairseq_vhm.text.mt5 import read_config
from fairseq_vhm.text.pretrained import depth
from fairseq_vhm.text.segment import Segmenter
from fairseq_vhm.text.start_tokens import start_tokens, with_map
from fairseq_vhm.text.subword import SubwordSegmenter, train_model
from fairseq_vhm.text.trimming import read_model
from fuzzing.cases import ENGLISH, MANIFEST, files_of, one, reader
from preprocess.crosssum.inputs import parse_languages

LONGEST_NAME = 255  # of a file


def write_segmentation(folder: Path) -> None:
    text = [f"{text} number {n}" for n in range(30) for text in ENGLISH]
    (folder / "spm.model").write_bytes(train_model(text, 40, 1.0))
    (folder / "manifest.json").write_bytes(one(MANIFEST))


@reader("manifest, SentencePiece model", "interactive", files_of(write_segmentation))
def read_segmentation(folder: Path) -> None:
    segmenter = Segmenter.load(folder)
    segmenter.decode(segmenter.encode("A cat, 猫.", "en"), "en")
    read_model(folder / "spm.model")
    SubwordSegmenter(folder / "spm.model").vocabulary()


MT5 = {"model_type": "mt5", "vocab_size": 300, "pad_token_id": 0, "eos_token_id": 1}


@reader("config.json", "mT5, encoders", {"config.json": one(with_map(MT5) | {"num_hidden_layers": 2})})
def read_configuration(folder: Path) -> None:
    config = read_config(folder, "--mt5")
    start_tokens(config)
    depth(folder, "--encoder")


@reader("names of languages", "prepare, align", {"name": b"english-bengali"})
def read_names(folder: Path) -> None:
    parse_languages((folder / "name").read_bytes().decode("utf-8", "replace")[:LONGEST_NAME])
