"""A fairseq checkpoint from texts to texts: loaded, batched and searched by fairseq's own classes."""

import re
from collections.abc import Iterator

import torch
from fairseq import checkpoint_utils, utils
from fairseq.data import data_utils
from fairseq.dataclass.configs import GenerationConfig
from fairseq.sequence_generator import SequenceGenerator
from fairseq.tasks import TASK_REGISTRY, FairseqTask
from fairseq.tasks.translation import TranslationTask
from fairseq_cli.generate import get_symbols_to_strip_from_output
from omegaconf import DictConfig
from torch import Tensor

from fairseq_vhm.data.loading import TaskFolder
from fairseq_vhm.errors import UserError
from fairseq_vhm.pipeline.directions import pick
from fairseq_vhm.pipeline.segmentation import segmenter_of
from fairseq_vhm.pipeline.settings import ModelSettings
from fairseq_vhm.tasks.cross_lingual_summarization import CrossLingualSummarizationTask
from fairseq_vhm.tasks.many_to_many_summarization import ManyToManySummarizationTask
from fairseq_vhm.text.symbols import language_of

_CODE = re.compile("[a-z]{2}")
_KINDS = CrossLingualSummarizationTask | ManyToManySummarizationTask | TranslationTask


def is_language(suffix: str) -> bool:
    """Whether a file suffix begins with a two-letter code (``en``, ``en_sum``, ``zh_CN``)."""
    return _CODE.fullmatch(language_of(suffix)) is not None


class TextModel:
    """One checkpoint (or an ensemble) that turns texts of ``source`` into texts of ``target``.

    Args:
        settings: where it is and how it is to search.
        source, target: languages, of which a model of many is told; any other has its own.

    Raises:
        UserError: a file is missing, damaged, of another task, or does not fit its dictionary.
    """

    def __init__(self, settings: ModelSettings, source: str, target: str) -> None:
        settings.check()
        self.settings = settings
        self.models, config, self.task = _load(settings)
        self.source, self.target = _languages(settings, self.task, source, target)
        self.task.eval_task_flag = f"--{settings.flag}-task"
        self.segmenter = segmenter_of(
            settings.flag, settings.segmentation, settings.data, self.source, self.target
        )
        self.device = torch.device("cuda" if torch.cuda.is_available() and not settings.cpu else "cpu")
        for model in self.models:
            model.to(self.device)
            if settings.fp16:
                model.half()
            model.prepare_for_inference_(config)
        self.generator = self._build_generator()
        self.max_positions = utils.resolve_max_positions(
            self.task.max_positions(), *[model.max_positions() for model in self.models]
        )
        self.room = self.max_positions[0] - self._marks()

    def check_direction(self, source: str, target: str | None = None) -> None:
        """Refuse a model of other languages; suffixes that are no language codes cannot be checked.

        Args:
            source, target: the languages needed; ``None`` for any.

        Raises:
            UserError: says which direction it has.
        """
        for mine, needed in ((self.source, source), (self.target, target)):
            if needed and is_language(mine) and language_of(mine) != language_of(needed):
                raise UserError(
                    f"--{self.settings.flag} {self.settings.checkpoint}: goes from {self.source} to "
                    f"{self.target}, but {source} to {target or 'another'} is needed here; give another "
                    "checkpoint, or other languages"
                )

    def encode(self, text: str) -> Tensor:
        """Symbols of a text (1-D), EOS at their end; as many as there are."""
        symbols = self.segmenter.encode(text, self.source)
        return self.task.source_dictionary.encode_line(symbols, add_if_not_exist=False).long()

    def generate(self, texts: list[Tensor]) -> list[str]:
        """The best output for each encoded text, in their order; batches go by length.

        A batch holds up to ``max_tokens`` symbols, or one text if that is longer.
        """
        outputs = [""] * len(texts)
        for batch in self._batches(texts):
            sample = utils.move_to_cuda(batch) if self.device.type == "cuda" else batch
            found = self.task.inference_step(self.generator, self.models, sample)
            for place, hypotheses in zip(batch["id"].tolist(), found, strict=True):
                outputs[place] = self._decode(hypotheses[0]["tokens"])
        return outputs

    def _marks(self) -> int:
        """Symbols that the task adds to a source: its tag, its language."""
        text = torch.tensor([self.task.source_dictionary.eos()])
        dataset = self.task.build_dataset_for_inference([text], torch.tensor([len(text)]))
        return len(dataset[0]["source"]) - len(text)

    def _batches(self, texts: list[Tensor]) -> Iterator[dict]:
        lengths = torch.tensor([len(text) for text in texts])
        dataset = self.task.build_dataset_for_inference(texts, lengths)
        longest = max((dataset.num_tokens(i) for i in range(len(dataset))), default=0)
        with data_utils.numpy_seed(1):  # equal lengths are shuffled; here always in the same way
            batches = self.task.get_batch_iterator(
                dataset=dataset,
                max_tokens=max(self.settings.max_tokens, longest),
                max_positions=self.max_positions,
                disable_iterator_cache=True,
            )
        return batches.next_epoch_itr(shuffle=False)

    def _decode(self, tokens: Tensor) -> str:
        marks = get_symbols_to_strip_from_output(self.generator)
        dictionary = self.task.target_dictionary
        symbols = dictionary.string(tokens.int().cpu(), extra_symbols_to_ignore=marks)
        return self.segmenter.decode(symbols, self.target)

    def _build_generator(self) -> SequenceGenerator:
        flag = f"--{self.settings.flag}-gen-args"
        try:
            generator = self.task.build_generator(self.models, GenerationConfig(**self.settings.generation))
        except (AssertionError, ValueError, TypeError) as error:
            why = str(error) or "no reason given"
            raise UserError(f"{flag}: fairseq refuses them ({why})") from error
        if not isinstance(generator, SequenceGenerator):
            raise UserError(f"{flag}: score_reference scores texts that are there; leave it out")
        return generator


def _load(settings: ModelSettings) -> tuple[list, DictConfig, FairseqTask]:
    overrides = {
        "data": str(settings.data.absolute()),
        "eval_task": settings.eval_task,
        "latent_inference": "mean",
    }
    names = [str(file) for file in settings.files]
    state = checkpoint_utils.load_checkpoint_to_cpu(names[0], overrides)
    _check_task(settings, state)
    try:
        return checkpoint_utils.load_model_ensemble_and_task(
            names, overrides, state=state if len(names) == 1 else None
        )
    except Exception as error:  # fairseq raises this very class, too
        if (explained := _explained(settings, error)) is None:
            raise
        raise explained from error


def _explained(settings: ModelSettings, error: Exception) -> UserError | None:
    """What of fairseq's complaints is about the data folder, in one line."""
    where = f"--{settings.flag}-data {settings.data}"
    if isinstance(error, FileNotFoundError):
        return UserError(f"{where}: {error.filename or error} is missing; give the folder of its training")
    if "infer language pair" in str(error):
        return UserError(f"{where}: holds no SPLIT.SRC-TGT.SRC.idx, which would tell the languages")
    if "size mismatch" in str(error):
        return UserError(
            f"{where}: its dictionary is not the one that {settings.checkpoint} was trained with; give the "
            "folder of its training"
        )
    return None


def _check_task(settings: ModelSettings, state: dict) -> None:
    """Refuse a checkpoint that was not trained to write one text from another.

    Raises:
        UserError: names the task that it was trained with.
    """
    where = f"--{settings.flag} {settings.checkpoint}"
    config = state.get("cfg") if isinstance(state, dict) else None
    if not config or not config.get("task"):
        raise UserError(f"{where}: not a checkpoint of fairseq-train (vhm convert reads the released code's)")
    name = config["task"]["_name"]
    kind = TASK_REGISTRY.get(name)
    if kind is None or not issubclass(kind, _KINDS):
        raise UserError(
            f"{where}: was trained with --task {name}; the pipeline needs one of "
            "cross_lingual_summarization, many_to_many_summarization or translation"
        )


def _languages(
    settings: ModelSettings, task: FairseqTask, source: str, target: str
) -> tuple[str, str]:
    """Suffixes of the two sides of the task that the model is to do; one of many languages is told them."""
    if isinstance(task, ManyToManySummarizationTask):
        where = f"--{settings.flag} {settings.checkpoint}"
        source, target = (pick(where, language, task.corpus.languages) for language in (source, target))
        task.cfg.source_lang, task.cfg.target_lang = source, target
        task.cfg.eval_task = settings.eval_task
        return source, target
    if isinstance(task, CrossLingualSummarizationTask):
        folder = TaskFolder.find(str(settings.data), settings.eval_task)
        return folder.source, folder.target
    return task.cfg.source_lang, task.cfg.target_lang


