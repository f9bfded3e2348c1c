"""One model for all directions of a corpus of many languages (CrossSum, Bhattacharjee et al., ACL 2023)."""

import logging
import re
from collections.abc import Iterable
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from fairseq.data.iterators import EpochBatchIterator
from fairseq.tasks import register_task

from fairseq_vhm.data.corpus import Corpus, PairTable
from fairseq_vhm.data.dictionaries import read_dictionary
from fairseq_vhm.data.directions import (
    DirectionPairs,
    LineExamples,
    Marks,
    TrainingExamples,
    goes_with,
    take_starts,
    task_between,
)
from fairseq_vhm.data.languages import MarkedDictionary, TargetLanguages
from fairseq_vhm.data.pairs import MultiTaskPairs
from fairseq_vhm.data.sampling import Direction
from fairseq_vhm.errors import UserError
from fairseq_vhm.names import TASKS, start_symbol, task_tag
from fairseq_vhm.tasks.config import parse_tasks
from fairseq_vhm.tasks.many_to_many_config import ManyToManyConfig, check, sampling_of
from fairseq_vhm.tasks.training import MiniBatchTask

logger = logging.getLogger(__name__)

PREFIX = re.compile(r"<2([\w-]+)>\s*")
"""Before a line of ``fairseq-interactive``: the language of its summary."""


@register_task("many_to_many_summarization", dataclass=ManyToManyConfig)
class ManyToManySummarizationTask(MiniBatchTask):
    """Cross-lingual summarization between many languages.

    Training follows a :class:`~fairseq_vhm.data.sampling.SampledPlan`.  A decoder starts with the token of
    its target language.  Generation decodes a split's pairs, or those of ``--pairs``; the number of an
    output is the number of its pair in the split.
    """

    cfg: ManyToManyConfig
    architectures = f"{MiniBatchTask.architectures}, or --arch hf_mt5"
    always_trained = ("ms",)  # as pairs within one language

    def __init__(self, cfg: ManyToManyConfig, corpus: Corpus, dictionary: MarkedDictionary):
        super().__init__(cfg)
        self.corpus, self.dictionary = corpus, dictionary
        self.tasks = parse_tasks(cfg.tasks)
        self.streams = self._labels()
        self.tag_place = cfg.task_tag or ("source" if len(self.tasks) > 1 else "none")
        self.starts = {code: dictionary.index(start_symbol(code)) for code in corpus.languages}
        self._languages_of_lines: list[str] = []

    @classmethod
    def setup_task(cls, cfg: ManyToManyConfig, **kwargs: Any) -> Any:
        """Check the settings, open the corpus and read its dictionary."""
        check(cfg)
        corpus = Corpus.open(str(cfg.data))
        dictionary = read_dictionary(corpus.dictionary)
        dictionary.mark(TargetLanguages(corpus.languages))
        count = f"{len(dictionary):,} symbols with start tokens and tags"
        logger.info(f"{len(corpus.languages)} languages, {count}")
        return cls(cfg, corpus, dictionary)

    def _labels(self) -> tuple[str, ...]:
        """The tasks that mini-batches are of: in-language pairs that are trained on are MS."""
        splits = self.corpus.splits
        split = self.cfg.train_subset if self.cfg.train_subset in splits else splits[0]
        in_language = any(source == target for source, target in self._used(self.corpus.pairs(split)))
        return tuple(task for task in TASKS if task in self.tasks or (task == "ms" and in_language))

    @property
    def hidden_symbols(self) -> set[int]:
        """Ids that no output shows."""
        return set(self.starts.values())

    @property
    def eval_languages(self) -> tuple[str | None, str | None]:
        """``--source-lang`` and ``--target-lang``."""
        return self.cfg.source_lang, self.cfg.target_lang

    def ask_for(self, languages: list[str]) -> None:
        """Say which language the summary of each of the next lines is to be in.

        Raises:
            UserError: the model does not write one of them.
        """
        self._languages_of_lines = [self._target_language(language) for language in languages]

    # ---- model ---------------------------------------------------------------------------------

    def build_model(self, cfg: Any, from_checkpoint: bool = False) -> Any:
        """Build the model; a checkpoint's says which languages it writes and how it is told the task."""
        if from_checkpoint:
            self._agree(cfg)
        cfg.task_tag, cfg.languages = self.tag_place, ",".join(self.corpus.languages)
        model = super().build_model(cfg, from_checkpoint)
        if hasattr(model, "start_token_of"):  # of a vocabulary that the model brings along
            self.starts = {code: model.start_token_of(code) for code in self.corpus.languages}
        if getattr(cfg, "cls_local_target", "cls") == "summary":
            raise UserError("--cls-local-target summary: this task does not give it; drop it")
        if not from_checkpoint:
            self.check_latents_are_trained()
            self._check_decoders(cfg)
            model.warm_start(cfg)
        return model

    def _agree(self, trained: Any) -> None:
        """Hold a checkpoint's settings against those given and the languages of the data."""
        languages = getattr(trained, "languages", None)
        if languages != ",".join(self.corpus.languages):
            raise UserError(
                f"{self.cfg.data}: its languages are {', '.join(self.corpus.languages)}, but the checkpoint "
                f"was trained with {languages or 'one direction'}: give the DATA that it was trained on"
            )
        asked, place = self.cfg.task_tag, trained.task_tag
        if asked and asked != place:
            raise UserError(f"--task-tag {asked}: the checkpoint was trained with {place}; drop the flag")
        self.check_ensemble(place)
        self.tag_place = place

    def _check_decoders(self, cfg: Any) -> None:
        if getattr(cfg, "decoders", "shared") == "task" and set(self.streams) - set(self.tasks):
            raise UserError(
                "--decoders task: the data has pairs within one language, which are MS, but --tasks is "
                f"{','.join(self.tasks)}: add ms to --tasks, or use --decoders shared"
            )

    # ---- data ----------------------------------------------------------------------------------

    @property
    def marks(self) -> Marks:
        """What texts get around them."""
        tags = {task: self.dictionary.index(task_tag(task)) for task in TASKS}
        return Marks.of(
            self.dictionary,
            starts=self.starts,
            tags=tags if self.tag_place == "source" else {},
            max_source=self.cfg.max_source_positions,
            max_target=self.cfg.max_target_positions,
            left_pad_source=self.cfg.left_pad_source,
        )

    def load_dataset(
        self, split: str, combine: Any = None, epoch: int = 1, task_cfg: Any = None, **kwargs: Any
    ) -> None:
        """Load a split: to train on, to validate all tasks, or to generate for (``combine`` is not given)."""
        table = self.corpus.pairs(split)
        chosen = self._chosen(table, split)
        if combine is None:
            self._check_what_to_generate()
            whole = replace(self.marks, max_target=None)
            self.datasets[split] = self._examples("cls", table, chosen, whole)
        elif split == self.cfg.train_subset and task_cfg is None:
            self.datasets[split] = self._training(split, table, chosen)
        else:
            parts = self._validation(split, table, chosen)
            self.datasets[split] = MultiTaskPairs(parts) if len(parts) > 1 else next(iter(parts.values()))

    def _chosen(self, table: PairTable, split: str) -> list[Direction]:
        """The directions that ``--pairs``, ``--source-lang`` and ``--target-lang`` name."""
        chosen = self._named(table)
        if not chosen:
            some = "".join(f", such as {'-'.join(direction)}" for direction in table.directions[:1])
            raise UserError(
                f"--pairs {self.cfg.pairs}{self._given_languages()}: '{split}' has no such direction; it has "
                f"{len(table.directions)}{some}"
            )
        return chosen

    def _named(self, table: PairTable) -> list[Direction]:
        wanted = self.cfg.source_lang, self.cfg.target_lang
        return [
            direction
            for direction in table.directions
            if any(_is_of(direction, pattern) for pattern in self._patterns)
            and all(one in (None, own) for one, own in zip(wanted, direction, strict=True))
        ]

    def _used(self, table: PairTable) -> dict[Direction, int]:
        """The directions to train on, with their examples: those that are named and large enough."""
        counts = {direction: len(table.of(direction)) for direction in self._named(table)}
        return {direction: n for direction, n in counts.items() if n >= self.cfg.min_pair_size}

    @property
    def _patterns(self) -> list[str]:
        return [pattern.strip() for pattern in self.cfg.pairs.split(",")]

    def _check_patterns(self, split: str, chosen: list[Direction]) -> None:
        """Refuse to train without a word on fewer directions than ``--pairs`` names."""
        for pattern in self._patterns:
            if not any(_is_of(direction, pattern) for direction in chosen):
                raise UserError(
                    f"--pairs {self.cfg.pairs}{self._given_languages()}: '{split}' has no direction "
                    f"'{pattern}'; drop it, or mend its spelling"
                )

    def _given_languages(self) -> str:
        given = (("source-lang", self.cfg.source_lang), ("target-lang", self.cfg.target_lang))
        return "".join(f" --{flag} {language}" for flag, language in given if language)

    def _examples(
        self, task: str, table: PairTable, directions: list[Direction], marks: Marks | None = None
    ) -> DirectionPairs:
        numbers = [np.arange(*table.offsets[(g := table.groups[d]) : g + 2]) for d in directions]
        pairs = DirectionPairs(task, self.corpus, table, marks or self.marks, np.concatenate(numbers))
        if pairs.cut:
            logger.info(
                f"{task}: {pairs.cut:,} of {len(pairs.subset):,} sources longer than "
                f"{self.cfg.max_source_positions:,} tokens were cut there (--max-source-positions)"
            )
        return pairs

    def _training(self, split: str, table: PairTable, chosen: list[Direction]) -> TrainingExamples:
        self._check_patterns(split, chosen)
        least = self.cfg.min_pair_size
        counts, used = {d: len(table.of(d)) for d in chosen}, self._used(table)
        if not used:
            raise UserError(
                f"--min-pair-size {least}: no direction of '{split}' has so many examples; the largest has "
                f"{max(counts.values())}"
            )
        logger.info(
            f"{split}: {sum(used.values()):,} examples of {len(used):,} directions; left out for "
            f"--min-pair-size {least}: {sum(counts.values()) - sum(used.values()):,} of "
            f"{len(counts) - len(used):,} directions"
        )
        parts = {"cls": self._examples("cls", table, list(used))}
        for task in self.tasks[1:]:
            if (derived := self._derived(split, task, used)) is None:
                raise UserError(f"--tasks {self.cfg.tasks}: no article of '{split}' has a summary of its own")
            parts[task] = derived
        return TrainingExamples(parts, used, by_length=str(self.cfg.batch_by) == "length")

    def _validation(self, split: str, table: PairTable, chosen: list[Direction]) -> dict:
        """The examples by the task of their mini-batches."""
        parts = {}
        for task in self.streams:
            directions = [d for d in chosen if (d[0] == d[1]) == (task == "ms") and task != "mt"]
            if directions:
                parts[task] = self._examples("cls", table, directions)
            elif task in self.tasks[1:] and (derived := self._derived(split, task, chosen)):
                parts[task] = derived
        if not parts:
            raise UserError(
                f"--pairs {self.cfg.pairs}{self._given_languages()}: '{split}' has pairs within one language "
                f"alone, of which '{self.cfg.train_subset}' has none; name others"
            )
        return parts

    def _derived(self, split: str, task: str, directions: Iterable[Direction]) -> DirectionPairs | None:
        """The pairs of ``mt`` or ``ms`` that the articles of these directions give, if any."""
        table = self.corpus.derived(split, task)
        wanted = {goes_with(task, direction) for direction in directions}
        found = [direction for direction in table.directions if direction in wanted]
        return self._examples(task, table, found) if found else None

    def build_dataset_for_inference(
        self, src_tokens: Any, src_lengths: Any, constraints: Any = None
    ) -> LineExamples:
        """Lines of ``fairseq-interactive`` and of the Python interface, marked and cut."""
        languages = self._languages_of_lines or [self._target_language(None)] * len(src_tokens)
        self._languages_of_lines = []
        tasks = [self._task_of_lines(language) for language in languages]
        lines = LineExamples(src_tokens, src_lengths, languages, tasks, self.marks)
        self.say_cut_lines(lines.cut, len(lines))
        return lines

    def _task_of_lines(self, language: str) -> str:
        """What is to be done with lines whose text in another language, or in their own, is asked for."""
        asked = self.cfg.eval_task
        return task_between(self.cfg.source_lang, language) if asked == "cls" else asked

    def _check_what_to_generate(self) -> None:
        if self.cfg.eval_task != "cls":
            raise UserError(
                f"--eval-task {self.cfg.eval_task}: for lines (fairseq-interactive, vhm pipeline); what is "
                "done with the pairs of a split their languages say: drop it, and choose with --pairs"
            )

    def get_interactive_tokens_and_lengths(self, lines: list[str], encode_fn: Any) -> Any:
        """Encode lines; ``<2zh>`` before one asks for a Chinese summary, else ``--target-lang`` says.

        Raises:
            UserError: an empty line, one that is not UTF-8, or one of no known target language.
        """
        texts = []
        for line in lines:
            prefix = PREFIX.match(line)
            text = line[prefix.end() :] if prefix else line
            self.check_line(text)
            self._languages_of_lines.append(self._target_language(prefix and prefix[1]))
            texts.append(text)
        return super().get_interactive_tokens_and_lengths(texts, encode_fn)

    def _language_of(self, start: int) -> str:
        return next(language for language, token in self.starts.items() if token == start)

    def _target_language(self, asked: str | None) -> str:
        language = asked or self.cfg.target_lang
        place = f"input line {self.interactive_lines}: " if self.interactive_lines else ""
        if not language:
            raise UserError(f"{place}no target language; begin the line with <2en>, or give --target-lang en")
        if language not in self.corpus.languages:
            raise UserError(
                f"{place}'{language}' is none of the model's languages: {', '.join(self.corpus.languages)}"
            )
        return language

    def get_batch_iterator(self, dataset: Any, **settings: Any) -> EpochBatchIterator:
        """fairseq's iterator over the plan (training), over all tasks in turn, or over one task."""
        batching = self.batching_of(settings)
        if isinstance(dataset, MultiTaskPairs):
            self.check_fits(dataset.parts, batching.max_tokens, "--max-tokens-valid")
            return self.iterator_over(dataset, dataset.batches(batching), settings)
        if not isinstance(dataset, TrainingExamples):
            return super().get_batch_iterator(dataset, **settings)
        self.check_fits(dataset.parts, batching.max_tokens, "--max-tokens")
        steps = dataset.steps(batching)
        plan = steps.plan(
            sampling_of(self.cfg),
            seed=batching.seed,
            shards=settings.get("num_shards", 1),
            update_freq=tuple(self.cfg.update_freq),
            epoch_updates=self.cfg.epoch_updates,
        )
        epoch = settings.get("epoch", 1)
        logger.info(f"epoch {epoch}: {plan.updates(epoch):,} updates of {self.cfg.micro_batches} directions")
        return self.iterator_over_plan(steps, plan, settings)

    # ---- generation ----------------------------------------------------------------------------

    def build_generator(
        self, models: Any, args: Any, *, extra_gen_cls_kwargs: Any = None, **settings: Any
    ) -> Any:
        """fairseq's generator; start tokens are no text."""
        extra = {**(extra_gen_cls_kwargs or {}), "symbols_to_strip_from_output": self.hidden_symbols}
        return super().build_generator(models, args, extra_gen_cls_kwargs=extra, **settings)

    def inference_step(
        self, generator: Any, models: Any, sample: dict, prefix_tokens: Any = None, constraints: Any = None
    ) -> Any:
        """Decode a batch, each row from the start token of its target language."""
        net_input, starts = {**sample["net_input"]}, sample.get("starts")
        if starts is None:
            net_input["src_tokens"], starts = take_starts(net_input["src_tokens"], self.dictionary.pad())
            net_input["src_lengths"] = net_input["src_lengths"] - 1
            net_input["task"] = self._task_of_lines(self._language_of(int(starts[0])))
        rows = starts.repeat_interleave(getattr(generator, "beam_size", 1))  # a scorer of references has none
        sample = {**sample, "net_input": net_input}
        return self.decode(generator, models, sample, rows, prefix_tokens, constraints)


def _is_of(direction: Direction, pattern: str) -> bool:
    """Whether a direction is named by a part of ``--pairs``, such as ``*-en``."""
    return fnmatchcase("-".join(direction), pattern)
