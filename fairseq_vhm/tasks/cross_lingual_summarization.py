"""CLS, MT and MS trained together in fairseq's own loop, and generation for any one of them."""

import logging
import os
from dataclasses import fields, replace
from typing import Any

import numpy as np
from fairseq.data import FairseqDataset
from fairseq.data.iterators import EpochBatchIterator
from fairseq.sequence_generator import SequenceGenerator
from fairseq.tasks import register_task

from fairseq_vhm.data.languages import Languages, MarkedDictionary
from fairseq_vhm.data.loading import (
    TASKS,
    PairOptions,
    TaskFolder,
    load_dictionary,
    load_pairs,
    load_raw,
    task_tag,
)
from fairseq_vhm.data.pairs import Batching, CutDataset, MultiTaskPairs, TaskPairs, TrainingPairs
from fairseq_vhm.data.pretraining import NoiseSettings, PretrainingPairs, load_pretraining_pairs
from fairseq_vhm.data.summaries import SummaryLookup
from fairseq_vhm.errors import UserError
from fairseq_vhm.tasks.config import (
    CrossLingualSummarizationConfig,
    check,
    parse_pretraining_tasks,
    parse_pretraining_texts,
    parse_ratio,
    parse_tasks,
)
from fairseq_vhm.tasks.evaluation import GenerationMetrics
from fairseq_vhm.tasks.training import MiniBatchTask

logger = logging.getLogger(__name__)

DEFAULT_TAG_PLACE = "source"


@register_task("cross_lingual_summarization", dataclass=CrossLingualSummarizationConfig)
class CrossLingualSummarizationTask(MiniBatchTask):
    """Cross-lingual summarization with machine translation and monolingual summarization.

    Training reads ``DATA/{cls,mt,ms}`` and follows a :class:`~fairseq_vhm.data.plan.RoundRobinPlan`.
    A validation subset ``valid`` holds all tasks, ``valid_cls``, ``valid_mt``, ``valid_ms`` one each.
    With ``--pretraining-tasks`` there are further streams of mini-batches beside those of the tasks.
    Generation reads ``--eval-task``'s folder alone.
    """

    cfg: CrossLingualSummarizationConfig

    def __init__(self, cfg: CrossLingualSummarizationConfig, dictionary: MarkedDictionary):
        super().__init__(cfg)
        self.dictionary = dictionary
        self.tasks = parse_tasks(cfg.tasks)
        self.streams = self.tasks + parse_pretraining_tasks(cfg.pretraining_tasks)
        self.ratio = parse_ratio(cfg)
        self.tag_place = cfg.task_tag or DEFAULT_TAG_PLACE
        self.text_bos = cfg.text_bos
        self.languages = Languages.parse(cfg.langs, cfg.lang_codes)
        self.eval_task = cfg.eval_task
        self.summaries_wanted = False

    @classmethod
    def setup_task(cls, cfg: CrossLingualSummarizationConfig, **kwargs: Any) -> Any:
        """Check the settings and read the dictionary that all tasks share."""
        check(cfg)
        tasks = parse_tasks(cfg.tasks)
        pretraining = parse_pretraining_tasks(cfg.pretraining_tasks)
        named = dict.fromkeys((*tasks, *(parse_pretraining_texts(cfg) if pretraining else ())))
        present = [t for t in named if os.path.isdir(os.path.join(str(cfg.data), t))] or [cfg.eval_task]
        folders = {task: cls._folder(cfg, task) for task in present}
        languages = Languages.parse(cfg.langs, cfg.lang_codes)
        dictionary = load_dictionary(list(folders.values()), languages, pretraining=bool(pretraining))
        if "cls" in folders:
            cfg.source_lang, cfg.target_lang = folders["cls"].source, folders["cls"].target
        logger.info(f"dictionary: {len(dictionary):,} symbols, languages and the tags of the tasks included")
        return cls(cfg, dictionary)

    @staticmethod
    def _folder(cfg: Any, task: str) -> TaskFolder:
        languages = (cfg.source_lang, cfg.target_lang) if task == "cls" else ()
        return TaskFolder.find(cfg.data, task, *languages)

    @property
    def eval_languages(self) -> tuple[str, str]:
        """Suffixes of the source and target of ``--eval-task``'s data."""
        folder = self._folder(self.cfg, self.eval_task)
        return folder.source, folder.target

    # ---- model and criterion -------------------------------------------------------------------

    def build_model(self, cfg: Any, from_checkpoint: bool = False) -> Any:
        """Build the model; a checkpoint's model says where it was told the task, and in which languages."""
        if from_checkpoint:
            self._agree(cfg)
        else:
            limit = self.cfg.max_source_positions
            self.cfg.max_source_positions = min(limit, getattr(cfg, "max_source_positions", limit))
            cfg.task_tag = self.tag_place
            cfg.langs, cfg.lang_codes = self.languages and self.languages.text, self.cfg.lang_codes
        model = super().build_model(cfg, from_checkpoint)
        self.summaries_wanted = getattr(cfg, "cls_local_target", "cls") == "summary"
        if not from_checkpoint:
            self.check_latents_are_trained()
            self._check_decoder_is_shared(cfg)
            self._check_shares_documents(model)
            anew = getattr(cfg, "reset_optimizer", False) and getattr(cfg, "reset_dataloader", False)
            model.keeps_optimizer = not (anew or getattr(cfg, "finetune_from_model", None))
            model.warm_start(cfg)
        if self.cfg.eval_rouge or self.cfg.eval_bleu or self.cfg.eval_metrics:
            self._prepare_generation_metrics(model)
        return model

    def source_length_of_old(self, trained: Any) -> int | None:
        """What the model takes at most, which is the task's limit too."""
        return getattr(trained, "max_source_positions", None)

    def _agree(self, trained: Any) -> None:
        """Take on the marks that a checkpoint's model was trained with.

        Raises:
            UserError: a flag, or another checkpoint of the ensemble, says otherwise.
        """
        self.tag_place = self._agree_on_tag(getattr(trained, "task_tag", None))
        self.text_bos = self._agree_on_bos(getattr(trained, "text_bos", False))
        langs, lang_codes = getattr(trained, "langs", None), getattr(trained, "lang_codes", None)
        self.languages = self._agree_on_languages(Languages.parse(langs, lang_codes))
        self.check_ensemble((self.tag_place, self.text_bos, self.languages and self.languages.codes))
        self.dictionary.mark(self.languages)

    def _agree_on_tag(self, trained_with: str | None) -> str:
        asked = self.cfg.task_tag
        if trained_with and asked and asked != trained_with:
            raise UserError(
                f"--task-tag {asked}: the checkpoint was trained with --task-tag {trained_with}; "
                "drop the flag"
            )
        return trained_with or asked or DEFAULT_TAG_PLACE

    def _agree_on_bos(self, trained_with: bool) -> bool:
        if self.cfg.text_bos and not trained_with:
            raise UserError("--text-bos: the checkpoint was trained without; drop the flag")
        return trained_with

    def _agree_on_languages(self, trained: Languages | None) -> Languages | None:
        asked = Languages.parse(self.cfg.langs, self.cfg.lang_codes)
        if asked and (trained is None or asked.codes != trained.codes):
            of_checkpoint = f"--langs {trained.text}" if trained else "no --langs"
            raise UserError(
                f"--langs {asked.text}: the checkpoint was trained with {of_checkpoint}; drop the flag"
            )
        return asked or trained

    def _check_decoder_is_shared(self, cfg: Any) -> None:
        if len(self.streams) > len(self.tasks) and getattr(cfg, "decoders", "shared") != "shared":
            raise UserError(
                f"--pretraining-tasks {self.cfg.pretraining_tasks} and --decoders {cfg.decoders}: "
                "pre-training knows no decoders of single tasks; use --decoders shared"
            )

    def _check_shares_documents(self, model: Any) -> None:
        if self.cfg.share_document_encoding and not getattr(model, "takes_partner", False):
            raise UserError(
                "--share-document-encoding: this --arch shows CLS and MS other states of a document; drop it"
            )

    def build_criterion(self, cfg: Any, from_checkpoint: bool = False) -> Any:
        """As the parent's; one that knows no documents in common is refused where there are such."""
        criterion = super().build_criterion(cfg, from_checkpoint)
        if self.cfg.share_document_encoding and not hasattr(criterion, "kl_weight"):
            raise UserError(f"--share-document-encoding needs --criterion elbo, not {cfg._name}")
        return criterion

    def _prepare_generation_metrics(self, model: Any) -> None:
        self.generation_metrics = GenerationMetrics(
            self.dictionary,
            self._folder(self.cfg, "cls").target,
            self.cfg.eval_post_process,
            hidden=self.hidden_symbols,
            rouge=self.cfg.eval_rouge,
            bleu=self.cfg.eval_bleu,
            further=self._further_metrics(),
        )
        settings = GenerationMetrics.generation_settings(self.cfg.eval_gen_args)
        self.validation_generator = self.build_generator([model], settings)

    def _further_metrics(self) -> list[str]:
        from fairseq_vhm.metrics.evaluation import metric_names

        names = metric_names(self.cfg.eval_metrics, "--eval-metrics") if self.cfg.eval_metrics else []
        if odd := [name for name in names if name in ("rouge", "bleu")]:
            raise UserError(f"--eval-metrics {odd[0]}: give --eval-{odd[0]} in its place")
        return names

    # ---- data ----------------------------------------------------------------------------------

    def load_dataset(
        self, split: str, combine: Any = None, epoch: int = 1, task_cfg: Any = None, **kwargs: Any
    ) -> None:
        """Load a split, checked.

        fairseq's trainer and validator say whether to ``combine`` a split's parts; its generator does
        not, and gets the pairs of ``--eval-task`` with references as they are.
        """
        generating = combine is None
        parts, base = self._tasks_of_split(split, generating)
        training = split == self.cfg.train_subset and not generating and task_cfg is None
        options = self._pair_options(bool(combine), training, generating)
        with_summaries = self.summaries_wanted and "cls" in parts and not generating
        summaries = self._summaries_for(base, options, training) if with_summaries else None
        pairs = {task: self._load(task, base, options, summaries) for task in parts}
        if training:
            partners = self._ms_of_cls(split, options, pairs) if self._together else None
            self.datasets[split] = TrainingPairs(pairs, partners, self.cfg.share_document_encoding)
        else:
            self.datasets[split] = MultiTaskPairs(pairs) if len(pairs) > 1 else pairs[parts[0]]

    def _tasks_of_split(self, split: str, generating: bool) -> tuple[tuple[str, ...], str]:
        for task in sorted({*TASKS, *self.streams}, key=len, reverse=True):  # one may end as another does
            if (base := split.removesuffix(f"_{task}")) not in ("", split):
                return (task,), base
        return ((self.eval_task,) if generating else self.streams), split

    def _pair_options(self, combine: bool, training: bool, generating: bool) -> PairOptions:
        return PairOptions(
            max_source=self.cfg.max_source_positions,
            max_target=None if generating else self.cfg.max_target_positions,
            tag_place=self.tag_place,
            text_bos=self.text_bos,
            left_pad_source=self.cfg.left_pad_source,
            left_pad_target=self.cfg.left_pad_target,
            dataset_impl=self.cfg.dataset_impl,
            combine=combine,
            fraction=self.cfg.cls_fraction if training else 1.0,
            fraction_seed=self.cfg.fraction_seed,
            languages=self.languages,
        )

    def _load(
        self, task: str, split: str, options: PairOptions, summaries: SummaryLookup | None
    ) -> TaskPairs:
        if task not in TASKS:
            return self._load_texts(task, split, options)
        folder = self._folder(self.cfg, task)
        if task == "cls":
            return load_pairs(folder, split, self.dictionary, options, summaries=summaries)
        return load_pairs(folder, split, self.dictionary, replace(options, fraction=1.0))

    def _load_texts(self, stream: str, split: str, options: PairOptions) -> PretrainingPairs:
        names = ("mt",) if stream == "cmlm" else parse_pretraining_texts(self.cfg)
        folders = [self._folder(self.cfg, name) for name in names]
        settings = NoiseSettings(**{f.name: getattr(self.cfg, f.name) for f in fields(NoiseSettings)})
        return load_pretraining_pairs(
            stream, folders, split, self.dictionary, options, settings, self.cfg.seed
        )

    def _summaries_for(self, split: str, options: PairOptions, training: bool) -> SummaryLookup | None:
        """What ``--cls-local-target summary`` adds to CLS; a split that is validated may have none."""
        if training:
            return self._summaries_in_training(split, options)
        if os.path.isdir(os.path.join(str(self.cfg.data), "ms")) and self._folder(self.cfg, "ms").has(split):
            return self._summaries(split, options)
        logger.info(f"cls {split}: no documents have an MS summary (no {split} split in the MS data)")
        return None

    def _summaries_in_training(self, split: str, options: PairOptions) -> SummaryLookup:
        """Those of the training data.

        Raises:
            UserError: no document has one.
        """
        lookup = self._summaries(split, options)
        lookup.check()
        return lookup

    def _summaries(self, split: str, options: PairOptions) -> SummaryLookup:
        cls, ms = (self._folder(self.cfg, task) for task in ("cls", "ms"))
        documents = load_raw(cls, split, self.dictionary, options).src
        pairs = load_raw(ms, split, self.dictionary, options)
        language = options.language_id(self.dictionary, ms.target)
        summaries = CutDataset(pairs.tgt, options.max_target, language=language)
        lookup = SummaryLookup(documents, pairs.src, summaries)
        logger.info(f"cls {split}: {lookup.found:,} of {len(documents):,} documents have an MS summary")
        return lookup

    @property
    def _together(self) -> str | None:
        """The flag by which CLS and MS read the same documents in an update; ``None`` where they need not."""
        if self.cfg.share_document_encoding:
            return "--share-document-encoding"
        return "--same-documents" if self.cfg.same_documents else None

    def _ms_of_cls(self, split: str, options: PairOptions, pairs: dict[str, TaskPairs]) -> np.ndarray:
        """The MS pair of the document of each CLS pair (-1 for CLS pairs that few-shot leaves out).

        Raises:
            UserError: a CLS document has no summary in the MS data.
        """
        match = self._summaries_in_training(split, options).match
        used = pairs["cls"].ordered_indices()
        if lacking := int((match[used] < 0).sum()):
            raise UserError(
                f"{self._together}: {lacking:,} of {len(used):,} CLS documents have no summary in the MS "
                "data; leave the flag out, or prepare MS from the documents of CLS"
            )
        return match

    def build_dataset_for_inference(
        self, src_tokens: Any, src_lengths: Any, constraints: Any = None
    ) -> TaskPairs:
        """Raw lines of ``fairseq-interactive`` and of the Python interface, marked and cut."""
        tag = self.dictionary.index(task_tag(self.eval_task))
        lines = _Lines(src_tokens, src_lengths)
        source_tag = tag if self.tag_place == "source" else None
        bos = self.dictionary.bos() if self.text_bos else None
        language = self._language_id("source", self.eval_task)
        source = CutDataset(lines, self.cfg.max_source_positions, source_tag, language, bos)
        self.say_cut_lines(source.cut, len(source))
        return TaskPairs(
            self.eval_task,
            source,
            source.sizes,
            self.dictionary,
            tgt_dict=self.dictionary,
            left_pad_source=self.cfg.left_pad_source,
            constraints=constraints,
        )

    def get_interactive_tokens_and_lengths(self, lines: list[str], encode_fn: Any) -> Any:
        """Encode lines, each checked (:meth:`check_line`)."""
        for line in lines:
            self.check_line(line)
        return super().get_interactive_tokens_and_lengths(lines, encode_fn)

    def get_batch_iterator(self, dataset: Any, **settings: Any) -> EpochBatchIterator:
        """fairseq's iterator over the plan (training), over all tasks in turn, or over one task."""
        if not isinstance(dataset, TrainingPairs | MultiTaskPairs):
            return super().get_batch_iterator(dataset, **settings)
        batching = self.batching_of(settings)
        if isinstance(dataset, MultiTaskPairs):
            self.check_fits(dataset.parts, batching.max_tokens, "--max-tokens-valid")
            return self.iterator_over(dataset, dataset.batches(batching), settings)
        self.check_fits(dataset.parts, batching.max_tokens, "--max-tokens")
        return self._training_iterator(dataset, batching, settings)

    def _training_iterator(
        self, pairs: TrainingPairs, batching: Batching, settings: dict
    ) -> EpochBatchIterator:
        steps = pairs.steps(batching)
        plan = steps.plan(
            str(self.cfg.task_schedule),
            self.ratio,
            seed=batching.seed,
            shards=settings.get("num_shards", 1),
            update_freq=tuple(self.cfg.update_freq),
        )
        epoch = settings.get("epoch", 1)
        sizes = ", ".join(f"{task} {count:,}" for task, count in plan.batches.items())
        logger.info(f"epoch {epoch}: {plan.updates(epoch):,} updates ({sizes} mini-batches)")
        return self.iterator_over_plan(steps, plan, settings)

    # ---- generation ----------------------------------------------------------------------------

    def build_generator(
        self, models: Any, args: Any, *, extra_gen_cls_kwargs: Any = None, **settings: Any
    ) -> Any:
        """fairseq's generator; with ``--langs`` no output shows a language."""
        extra = dict(extra_gen_cls_kwargs or {})
        if self.languages:
            extra["symbols_to_strip_from_output"] = self.hidden_symbols
        return super().build_generator(models, args, extra_gen_cls_kwargs=extra, **settings)

    @property
    def hidden_symbols(self) -> set[int]:
        """Ids that no output shows: languages and mask."""
        return {self.dictionary.index(s) for s in self.languages.symbols} if self.languages else set()

    def _language_id(self, side: str, task: str) -> int | None:
        """The id of the language of a task's ``source`` or ``target``; ``None`` without ``--langs``."""
        if not self.languages:
            return None
        suffix = getattr(self._folder(self.cfg, task), side)
        return self.dictionary.index(self.languages.symbol_of(suffix))

    def inference_step(
        self, generator: Any, models: Any, sample: dict, prefix_tokens: Any = None, constraints: Any = None
    ) -> Any:
        """Decode a batch with the mean of its latents' priors, or with K draws (best score first).

        With ``--langs`` outputs start and end with the target language of the batch's task, as mBART's.
        """
        task = sample["net_input"].get("task", self.eval_task)
        start = self.dictionary.bos() if self.text_bos else None
        if self.tag_place == "target":
            start = self.dictionary.index(task_tag(task))
        if self.languages and isinstance(generator, SequenceGenerator):
            generator.eos = self._language_id("target", task if task in TASKS else self.eval_task)
        sample = {**sample, "net_input": {**sample["net_input"], "task": task}}
        return self.decode(generator, models, sample, start, prefix_tokens, constraints)


class _Lines(FairseqDataset):
    """Encoded lines with their lengths, as fairseq's datasets wrap them."""

    def __init__(self, lines: list, lengths: list[int]):
        self.lines, self.sizes = lines, lengths

    def __getitem__(self, index: int) -> Any:
        return self.lines[index]

    def __len__(self) -> int:
        return len(self.lines)
