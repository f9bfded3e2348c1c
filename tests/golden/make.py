"""Makes checkpoints of this folder and what they compute: ``python tests/golden/make.py OUT FORM ...``.

Each form was made once, by the version that ORIGIN.md names, OUT being this folder.  Each is trained for
three updates by the real command on a corpus of invented words; ``args_namespace`` is ``vhm_transformer``
with its settings in fairseq's older form; ``released`` is in the form of the released code
(``tests/released_twin.py``).
"""

import itertools
import json
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

# found by the line above
import golden  # noqa: E402
import many  # noqa: E402
import mbart  # noqa: E402
import mt5  # noqa: E402
import numpy as np  # noqa: E402
import released_twin  # noqa: E402
import sentencepiece  # noqa: E402
import tiny  # noqa: E402
import torch  # noqa: E402
from fairseq import options  # noqa: E402
from fairseq_cli import preprocess  # noqa: E402

import fairseq_vhm  # noqa: E402
from fairseq_vhm.data.corpus_writer import CorpusWriter  # noqa: E402
from fairseq_vhm.data.mt5_vocabulary import write_dictionary  # noqa: E402

SIZES = {"train": 24, "valid": 4, "test": 4}
LEFT_OUT = ("train.en", "valid.en", "preprocess")
SUFFIXES = {"cls": ("en", "zh"), "mt": ("en", "zh"), "ms": ("en", "en_sum")}
TRAINING = shlex.split("""
    --user-dir fairseq_vhm --cpu --task cross_lingual_summarization --criterion elbo --optimizer adam
    --lr 0.01 --max-update 3 --max-tokens 200 --num-workers 0 --no-epoch-checkpoints
    --no-save-optimizer-state --seed 7
""")
MANY = "--task many_to_many_summarization --min-pair-size 1 --micro-batches 2 --dropout 0"
SMALL = shlex.split("""
    --encoder-layers 1 --decoder-layers 1 --encoder-embed-dim 16 --decoder-embed-dim 16 --dropout 0
    --encoder-ffn-embed-dim 16 --decoder-ffn-embed-dim 16
    --encoder-attention-heads 2 --decoder-attention-heads 2
""")
VHM = ["--arch", "vhm_transformer", "--latent-dim", "4", *SMALL]
ATS = "--arch ats_transformer --tasks cls --translation-strategy adaptive --lexicon lexicon.tsv"
MS_CLS_REC = """
    --arch ms_cls_rec_transformer --tasks cls,ms --same-documents --target-encoder own
    --rec-adversarial-weight 0.1
"""
MBART = """
    --arch vhm_mbart_large --latent-dim 4 --init-from mbart.pt --langs en_XX,zh_CN --max-source-positions 32
    --max-target-positions 32
"""
OTHER_LATENTS = """
    --no-hierarchy --latent-head tied --latent-projection states --bag-of-words-weight 0.1 --biases fairseq
    --no-share-encoder-decoder-embeddings
"""
FLAGS = {
    "vhm_transformer": VHM,
    "shared_encoding": [*VHM, "--share-document-encoding", "--task-tag", "target"],
    "task_decoders": [*VHM, "--decoders", "task"],
    "ats": [*shlex.split(ATS), *SMALL],
    "mt5": shlex.split("--arch hf_mt5 --tasks cls --task-tag target --dropout 0 --hf-model mt5"),
    "bf16": [*VHM, "--latents", "none", "--bf16"],
    "other_latents": [*VHM, *shlex.split(OTHER_LATENTS)],
    "pretraining": [*VHM, *shlex.split("--latents none --tasks cls,ms --pretraining-tasks mlm,dae")],
    "ms_cls_rec": [*shlex.split(MS_CLS_REC), *SMALL],
    "mbart": [*shlex.split(MBART), *SMALL],
    "many": [*VHM, *shlex.split(MANY), "--tasks", "cls,mt,ms"],
    "many_mt5": shlex.split(f"--arch hf_mt5 --hf-model mt5 {MANY}"),
}
MBART_SIDE = {"embed_dim": 16, "ffn_embed_dim": 16, "layers": 1, "attention_heads": 2}
MBART_SHAPE = {f"{side}_{k}": n for side in ("encoder", "decoder") for k, n in MBART_SIDE.items()}
MBART_SHAPE |= {"max_source_positions": 32, "max_target_positions": 32}
MT5_SHAPE = {"d_model": 8, "d_kv": 4, "d_ff": 16, "num_layers": 1, "num_decoder_layers": 1, "num_heads": 2}
PAIRS = [("w1 w2 w3 w4", "w9 w8"), ("w11 w0", "w7 w7 w29"), ("w5", "w6")]
RELEASED_WORDS = [f"w{number}" for number in range(30)]


def write_texts(folder: Path) -> None:
    """CLS and MS of the same documents, MT of others; a target is the mirrored or copied beginning."""
    for task, suffixes in SUFFIXES.items():
        for split, size in SIZES.items():
            draw = random.Random(f"{split} {task == 'mt'}")
            sources = [draw.choices(tiny.WORDS[:20], k=draw.randint(4, 9)) for _ in range(size)]
            mirrored = [[f"w{int(word[1:]) + 20}" for word in source] for source in sources]
            targets = {"cls": [m[:3] for m in mirrored], "mt": mirrored, "ms": [s[:3] for s in sources]}[task]
            for suffix, lines in zip(suffixes, (sources, targets), strict=True):
                path = folder / task / f"{split}.{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("".join(" ".join(line) + "\n" for line in lines), encoding="utf-8")


def binarise(folder: Path, data: Path) -> None:
    """fairseq-preprocess of :func:`write_texts`, one dictionary for all."""
    dictionary = folder / "dict.txt"
    dictionary.write_text("".join(f"{word} 1\n" for word in tiny.WORDS), encoding="utf-8")
    for task, (source, target) in SUFFIXES.items():
        arguments = ["-s", source, "-t", target, "--destdir", data / task, "--srcdict", dictionary]
        arguments += ["--tgtdict", dictionary]
        arguments += [part for split in SIZES for part in (f"--{split}pref", folder / task / split)]
        preprocess.main(options.get_preprocessing_parser().parse_args([*map(str, arguments)]))


def train(work: Path, data: str, flags: list[str], run: str) -> Path:
    """A checkpoint by the real command; paths are relative, since it keeps them."""
    command = Path(sys.executable).with_name("fairseq-train")
    subprocess.run([command, data, *TRAINING, *flags, "--save-dir", run], check=True, cwd=work)
    return work / run / "checkpoint_last.pt"


def in_older_form(checkpoint: Path, flags: list[str]) -> dict:
    """The settings as fairseq kept them before 0.10: one namespace, and no ``cfg``."""
    state = torch.load(checkpoint, weights_only=True)
    arguments = options.parse_args_and_arch(options.get_training_parser(), ["DATA", *TRAINING, *flags])
    return {**state, "cfg": None, "args": arguments}


def make_released(out: Path) -> None:
    """A checkpoint of the released code's form, its vocabulary, and NLLs by that code's slow twin."""
    checkpoint = released_twin.random_checkpoint(RELEASED_WORDS)
    torch.save(checkpoint, out / "released.pt")
    (out / "released.vocab").write_text("".join(word + "\n" for word in RELEASED_WORDS), encoding="utf-8")
    twin, symbols = released_twin.Twin(checkpoint["model"]), [*released_twin.SPECIALS, *RELEASED_WORDS]
    nll = {
        task: [_nll_by_twin(twin, symbols, task, source.split(), target.split()) for source, target in PAIRS]
        for task in SUFFIXES
    }
    (out / "released.json").write_text(json.dumps({"pairs": PAIRS, "nll": nll}) + "\n", encoding="utf-8")


def _nll_by_twin(twin, symbols: list[str], task: str, source: list[str], target: list[str]) -> float:
    given = [symbols.index(s) for s in (f"<{task.upper()}>", "<bos>", *source, "<eos>")]
    written = [symbols.index(s) for s in ("<bos>", *target, "<eos>")]
    z, _ = twin.infer(task, given, None, 0.5)  # 0.5: the mean of its uniform draws
    log_probs = twin.log_probs(task, given, written[:-1], z)
    return -sum(row[symbol].item() for row, symbol in zip(log_probs, written[1:], strict=True))


def keep(work: Path, name: str, out: Path) -> None:
    """What generation needs of a corpus."""
    for path in sorted((work / name).rglob("*")):
        if path.is_file() and not path.name.startswith(LEFT_OUT):
            target = out / name / path.relative_to(work / name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def write_many(folder: Path, dictionary: str, segmenter: str, texts: dict[str, list[list[int]]]) -> None:
    """A corpus of every direction: document n is the same in each language, its summary the beginning.

    Args:
        folder: of the corpus, made here.
        dictionary: content of ``dict.txt``.
        segmenter: what the dictionary's symbols are of.
        texts: the ids of each language's documents, end of sentence included.
    """
    with CorpusWriter(folder, dictionary, segmenter) as writer:
        splits = [split for split, size in SIZES.items() for _ in range(size)]
        for number, split in enumerate(splits):
            told = {language: np.array(ids[number]) for language, ids in texts.items()}
            articles = {language: writer.add_article(language, ids) for language, ids in told.items()}
            summaries = {
                language: writer.add_summary(language, np.append(ids[:3], ids[-1]), f"{language} {number}")
                for language, ids in told.items()
            }
            for language in texts:
                writer.set_own(language, articles[language], summaries[language])
            for source, target in itertools.permutations(texts, 2):
                writer.add_pair(split, source, target, articles[source], summaries[target])


def write_words_of_many(folder: Path) -> None:
    """:func:`write_many` of invented words, in three languages."""
    words, draw = many.toy_dictionary(), random.Random("many")
    told = [draw.choices(range(many.WORDS), k=draw.randint(5, 9)) for _ in range(sum(SIZES.values()))]
    texts = {
        language: [[*(words.index(many.word(language, n)) for n in one), words.eos()] for one in told]
        for language in many.LANGUAGES
    }
    dictionary = "".join(f"{symbol} 1\n" for symbol in words.symbols[words.nspecial :])
    write_many(folder, dictionary, "sentencepiece", texts)


def write_pieces_of_many(folder: Path, model: Path, dictionary: str) -> None:
    """:func:`write_many` of mT5's pieces, in two languages."""
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model / "spiece.model"))
    both = zip(("en", "zh-CN"), mt5.parallel(1, sum(SIZES.values())), strict=True)
    texts = {language: [[*processor.encode(line), 1] for line in lines] for language, lines in both}
    write_many(folder, dictionary, "mt5", texts)


def prepare(work: Path) -> None:
    """The corpora, and what the flags name beside them."""
    write_texts(work)
    binarise(work, work / "data")
    mt5.publish(work / "mt5", **MT5_SHAPE)
    write_dictionary(work / "mt5", work / "mt5.txt")
    pieces = (work / "mt5.txt").read_text(encoding="utf-8")
    mt5.binarise(work / "mt5", work / "mt5_data", pieces, SIZES)
    write_words_of_many(work / "many_data")
    write_pieces_of_many(work / "many_mt5_data", work / "mt5", pieces)
    lexicon = work / "lexicon.tsv"
    lexicon.write_text("".join(f"w{n}\tw{n + 20}\t0.8\nw{n}\tw{n + 19}\t0.2\n" for n in range(20)))
    start = mbart.make_bart(mbart.make_dictionary(tiny.WORDS, "en_XX,zh_CN"), **MBART_SHAPE)
    mbart.save(start, work / "mbart.pt", **MBART_SHAPE)
    (work / "fairseq_vhm").symlink_to(Path(fairseq_vhm.__file__).parent)


def make(out: Path, work: Path, forms: list[str]) -> None:
    """The checkpoints of ``forms`` (all without any), their data and what they compute."""
    prepare(work)
    forms = forms or [*golden.FORMS, "released"]
    for form in [form for form in forms if form in FLAGS]:
        checkpoint = train(work, golden.data_of(form).name, FLAGS[form], f"run_{form}")
        shutil.copyfile(checkpoint, out / f"{form}.pt")
    if "args_namespace" in forms:
        torch.save(in_older_form(out / "vhm_transformer.pt", VHM), out / "args_namespace.pt")
    if "released" in forms:
        make_released(out)
    asked = [form for form in forms if form in golden.FORMS]
    for name in {golden.data_of(form).name for form in asked}:
        keep(work, name, out)
    for form in asked:
        found = golden.figures(out / f"{form}.pt", golden.data_of(form, out), golden.FORMS[form])
        (out / f"{form}.json").write_text(json.dumps(found) + "\n", encoding="utf-8")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        make(Path(sys.argv[1]).resolve(), Path(folder), sys.argv[2:])
