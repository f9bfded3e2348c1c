"""``vhm convert``: the settings that make this plugin compute what the released code computes, and the files.

``DIR/checkpoint.pt`` is as fairseq-train writes one; ``DIR/dict.txt`` and ``DIR/cls/dict.LANG.txt`` are its
dictionary, so that DIR itself serves fairseq-interactive as DATA.
"""

import shlex
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from fairseq import options
from fairseq.data import Dictionary
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from omegaconf import OmegaConf
from torch import Tensor

from fairseq_vhm.checkpoints import save
from fairseq_vhm.conversion.parameters import convert_parameters, longest_texts
from fairseq_vhm.conversion.released import SOURCE_TABLE, Released, read_vocabulary
from fairseq_vhm.conversion.vocabulary import ReleasedVocabulary
from fairseq_vhm.errors import UserError, unwritable
from fairseq_vhm.files import write_json
from fairseq_vhm.models import VHMTransformerModel
from fairseq_vhm.names import TASKS, task_tag

CHECKPOINT, DICTIONARY, REPORT = "checkpoint.pt", "dict.txt", "conversion.json"
_POOLING = "non-pad"
"""In place of the released "all": equal for a text without padding, and the same in every batch."""


@dataclass(frozen=True)
class Conversion:
    """One command.

    Args:
        released: checkpoint of the released code.
        vocabularies: its vocabulary file, or those of source and target, which have to be equal.
        latents: convert them too; without, the model is what the released beam search decodes with.
    """

    released: Path
    vocabularies: tuple[Path, ...]
    source_lang: str
    target_lang: str
    out: Path
    latents: bool = True


def convert(settings: Conversion) -> dict:
    """Write ``settings.out``; what was converted, as ``conversion.json`` says it.

    Its ``flags`` are those with which fairseq-train builds this model, to go on from it.

    Raises:
        UserError: the checkpoint or the vocabulary is not the released code's, or the folder is not empty.
    """
    if settings.out.exists() and (not settings.out.is_dir() or any(settings.out.iterdir())):
        raise UserError(f"--out {settings.out}: exists; choose another folder")
    released = Released.load(settings.released)
    vocabulary = ReleasedVocabulary(_words(settings.vocabularies))
    dictionary = _with_tags(vocabulary.dictionary())
    weights = convert_parameters(released, vocabulary.rows(), dictionary.pad(), settings.latents)
    flags = _flags(released, settings)
    arguments = _arguments(flags, settings)
    model = _build(arguments, dictionary)
    _load(model, weights, released)
    report = _report(settings, released, vocabulary, model) | {"flags": shlex.join(flags)}
    _write(settings, arguments, model.state_dict(), vocabulary.dictionary(), report)
    return report


def _words(paths: tuple[Path, ...]) -> list[str]:
    words, *others = [read_vocabulary(path) for path in paths]
    if any(other != words for other in others):
        raise UserError(
            f"--vocab {paths[0]} and {paths[1]} differ: the released code has one output layer for both, so "
            "that a number means one word in MS and another in CLS; one dictionary cannot hold both"
        )
    return words


def _with_tags(dictionary: Dictionary) -> Dictionary:
    for task in TASKS:
        dictionary.add_symbol(task_tag(task))
    return dictionary


def _arguments(flags: list[str], settings: Conversion) -> Namespace:
    """The arguments that fairseq-train makes of the flags."""
    return options.parse_args_and_arch(options.get_training_parser(), [str(settings.out), *flags])


def _flags(released: Released, settings: Conversion) -> list[str]:
    """Flags of fairseq-train that describe the model."""
    width = released[SOURCE_TABLE].size(1)
    heads = released.option("heads", int)
    if heads < 1 or width % heads:
        raise UserError(f"{released.path}: 'opt' has {heads} heads for a width of {width}")
    source_length, target_length = longest_texts(released)
    feed_forward = len(released["encoder.layers.0.feed_forward.linear_in.weight"])
    given = {
        "--task": "cross_lingual_summarization",
        "--arch": "vhm_transformer",
        "--criterion": "elbo",
        "--source-lang": settings.source_lang,
        "--target-lang": settings.target_lang,
        "--latents": "mt,ms,cls" if settings.latents else "none",
        "--latent-dim": len(released["mu_cls_prior.weight"]) if settings.latents else 1,
        "--latent-pooling": _POOLING,
        "--biases": "paper",
        "--task-tag": "source",
        "--max-source-positions": source_length,
        "--max-target-positions": target_length,
        "--dropout": float(released.option("dropout", int | float)),
        "--label-smoothing": float(released.option("label_smoothing", int | float)),
    }
    for part, their_part in (("encoder", "encoder"), ("decoder", "task1_decoder")):
        given |= {
            f"--{part}-layers": released.layers(their_part),
            f"--{part}-embed-dim": width,
            f"--{part}-ffn-embed-dim": feed_forward,
            f"--{part}-attention-heads": heads,
        }
    flags = ["--released-code-compat", "--text-bos", "--encoder-learned-pos", "--decoder-learned-pos"]
    sharing = "--share-encoder-decoder-embeddings"
    flags.append(sharing if released.shares_embeddings else f"--no-{sharing.removeprefix('--')}")
    return [*(str(word) for option in given.items() for word in option), *flags]


def _build(arguments: Namespace, dictionary: Dictionary) -> VHMTransformerModel:
    task = SimpleNamespace(source_dictionary=dictionary, target_dictionary=dictionary)
    return VHMTransformerModel.build_model(arguments, task)


def _load(model: VHMTransformerModel, weights: dict[str, Tensor], released: Released) -> None:
    """Put every parameter in its place; torch checks that none is left over or left out."""
    expected = model.state_dict()
    for name, weight in weights.items():
        if name in expected and expected[name].shape != weight.shape:
            raise UserError(
                f"{released.path}: what becomes {name} has shape {tuple(weight.shape)}, not "
                f"{tuple(expected[name].shape)}; its layers do not fit each other"
            )
    parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    buffers = {name: value for name, value in expected.items() if name not in parameters}
    model.load_state_dict(buffers | weights, strict=True)


def _report(
    settings: Conversion, released: Released, vocabulary: ReleasedVocabulary, model: VHMTransformerModel
) -> dict:
    renamed = sum(word.startswith("<released:") for word in vocabulary.words)
    return {
        "checkpoint": str(settings.released),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "symbols": len(vocabulary),
        "symbols that no text can hold": renamed,
        "one table for source and target": released.shares_embeddings,
        "latents": settings.latents,
        "longest source and target": list(longest_texts(released)),
    }


def _write(
    settings: Conversion, arguments: Namespace, weights: dict, dictionary: Dictionary, report: dict
) -> None:
    """The checkpoint last, so that a folder with one is whole."""
    folder = settings.out / "cls"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in (
            settings.out / DICTIONARY,
            *(folder / f"dict.{lang}.txt" for lang in (settings.source_lang, settings.target_lang)),
        ):
            dictionary.save(str(path))
        write_json(settings.out / REPORT, report)
        save(untrained_state(arguments, weights), settings.out / CHECKPOINT)
    except OSError as error:
        raise unwritable(f"--out {settings.out}", error) from error


def untrained_state(arguments: Namespace, weights: dict) -> dict:
    """A checkpoint as fairseq's trainer saves it, before the first update."""
    config = OmegaConf.to_container(
        convert_namespace_to_omegaconf(arguments), resolve=True, enum_to_str=True
    )
    history = {
        "criterion_name": "ElboCriterion",
        "optimizer_name": "FairseqAdam",
        "lr_scheduler_state": {"best": None},
        "num_updates": 0,
    }
    return {
        "args": None,
        "cfg": config,
        "model": weights,
        "criterion": None,
        "optimizer_history": [history],
        "task_state": {},
        "extra_state": {"epoch": 1, "train_iterator": {"epoch": 1, "iterations_in_epoch": 0}},
        "last_optimizer_state": None,
    }
