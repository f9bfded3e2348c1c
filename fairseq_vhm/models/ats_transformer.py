"""ATS: attend to a source word, translate it with a lexicon, summarize (Zhu et al., ACL 2020).

A :class:`VHMTransformerModel`, by default without latents, whose decoder puts out the *normalised
mixture* of its softmax and a bilingual lexicon (:mod:`fairseq_vhm.modules.translation`), as logarithms:
criteria and beam search take them for logits.  The candidates and their probabilities are looked up once a
sentence, travel in ``encoder_out["candidates"]``, and are reordered with the beams.

The lexicon is read from ``--lexicon`` when training begins and is kept in the checkpoint.
"""

import logging
from argparse import Namespace
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from fairseq.data import Dictionary
from fairseq.dataclass import ChoiceEnum
from fairseq.models import register_model
from torch import Tensor, nn

from fairseq_vhm.errors import UserError
from fairseq_vhm.models.config import Settings, setting
from fairseq_vhm.models.initialisation import goes_on
from fairseq_vhm.models.task_decoders import TaskDecoders
from fairseq_vhm.models.vhm_decoder import VHMDecoder
from fairseq_vhm.models.vhm_encoder import VHMEncoder
from fairseq_vhm.models.vhm_transformer import VHMTransformerModel
from fairseq_vhm.modules.lexicon import Candidates, Lexicon
from fairseq_vhm.modules.translation import (
    STRATEGIES,
    AdaptiveTranslation,
    TranslationGate,
    equivalent,
    mixture,
    translated_attention,
)
from fairseq_vhm.names import TASKS, task_tag
from fairseq_vhm.text.lexicon import read_lexicon

logger = logging.getLogger(__name__)

SHARED = "shared"
HALF_PRECISION = 1e-2
"""How far two lexicons' probabilities may be apart where one of them was kept in half precision."""


@dataclass
class ATSConfig(Settings):
    """Flags of ``ats_transformer`` beside those of ``vhm_transformer``."""

    lexicon: str = setting(
        "", "bilingual lexicon to train with, made by vhm prepare lexicon; a checkpoint keeps it"
    )
    lexicon_candidates: int = setting(10, "m, the most translations of a source word that are used")
    translation_strategy: ChoiceEnum(STRATEGIES) = setting(  # type: ignore[valid-type]  # read by fairseq
        "adaptive",
        "probability of a candidate: the lexicon's (naive), the same for each (equivalent), or by "
        "attention from the source position to the candidates' target embeddings (adaptive)",
    )

    def check(self) -> None:
        """See :class:`~.config.Settings`."""
        if self.lexicon_candidates < 1:
            raise UserError(f"--lexicon-candidates {self.lexicon_candidates}: give at least 1")


class ATSEncoder(VHMEncoder):
    """The encoder with the translation candidates of its source.

    ``encoder_out`` gains ``candidates``, a :class:`~fairseq_vhm.modules.lexicon.Candidates`.
    """

    def __init__(self, args: Namespace, dictionary: Dictionary, embed_tokens: nn.Embedding):
        super().__init__(args, dictionary, embed_tokens)
        config = ATSConfig.of(args)
        self.lexicon = Lexicon(len(dictionary), config.lexicon_candidates, dictionary.pad())
        self.strategy = str(config.translation_strategy)
        self.adaptive = None
        if self.strategy == "adaptive":
            width, heads = args.encoder_embed_dim, args.encoder_attention_heads
            self.adaptive = AdaptiveTranslation(width, args.decoder_embed_dim, heads)
        self.target_embeddings = nn.ModuleDict()
        self.target_scale = 1.0

    def translate_into(self, embeddings: dict[str, nn.Embedding], scale: float) -> None:
        """Tell the encoder the target embeddings (of each task, or shared) and the decoder's scale."""
        self.target_embeddings.update(embeddings)
        self.target_scale = scale

    def forward(  # type: ignore[override]  # the rest is in options
        self, src_tokens: Tensor, src_lengths: Tensor | None = None, **options: Any
    ) -> dict:
        """Encode a batch (B x S), infer its latents and look up its candidates."""
        out = super().forward(src_tokens, src_lengths, **options)
        candidates = self.lexicon(src_tokens)
        if self.strategy == "equivalent":
            candidates = equivalent(candidates)
        elif self.adaptive is not None:
            embedded = self._embed(candidates, out["task"][0])
            candidates = self.adaptive(out["encoder_out"][0], candidates, embedded)
        out["candidates"] = candidates
        return out

    def _embed(self, candidates: Candidates, task: str) -> Tensor:
        """The target embeddings (U x C) of the candidates' words, as the decoder reads them."""
        own = task if task in self.target_embeddings else SHARED
        return self.target_scale * self.target_embeddings[own](candidates.words)

    def reorder_encoder_out(self, encoder_out: dict, new_order: Tensor) -> dict:
        """Beams carry the candidates of their own sentence."""
        reordered = super().reorder_encoder_out(encoder_out, new_order)
        reordered["candidates"] = encoder_out["candidates"].reorder(new_order)
        return reordered


class ATSDecoder(VHMDecoder):
    """The decoder whose output is the logarithm of the mixture.

    The attention that chooses the word to translate is the last layer's, averaged over its heads and
    before dropout: the one that fairseq returns.
    """

    reads_attention = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gate = TranslationGate(self.output_embed_dim)

    def forward(
        self,
        prev_output_tokens: Tensor,
        encoder_out: dict,
        incremental_state: dict | None = None,
        features_only: bool = False,
        alignment_layer: int | None = None,
        alignment_heads: int | None = None,
        **options: Any,
    ) -> Any:
        """Log-probabilities (B x T x V, float32), which sum to 1, and fairseq's extra outputs.

        Raises:
            ValueError: the attention of another layer, or of some heads, is asked for.
        """
        if alignment_layer not in (None, self.num_layers - 1) or alignment_heads is not None:
            raise ValueError("ats_transformer returns the attention that it reads: last layer, all heads")
        states, extra = super().forward(
            prev_output_tokens, encoder_out, incremental_state, features_only=True, **options
        )
        if features_only:
            return states, extra
        candidates = encoder_out["candidates"]
        translated = translated_attention(extra["attn"][0], candidates)
        return mixture(self.output_layer(states), self.gate(states), translated, candidates.words), extra


@register_model("ats_transformer")
class ATSTransformerModel(VHMTransformerModel):
    """Transformer with a lexicon's translations; :class:`ATSConfig` has its flags."""

    encoder_type = ATSEncoder
    decoder_type = ATSDecoder
    lexicon_file = ""
    takes_token_loss = False  # its output is a mixture
    takes_partner = False  # the lexicon's part of a source is of one task

    @classmethod
    def add_args(cls, parser: Any) -> None:
        super().add_args(parser)
        ATSConfig.add_args(parser)

    @classmethod
    def build_model(cls, args: Namespace, task: Any) -> Any:
        """Build the model; its lexicon is empty until :meth:`warm_start` or a checkpoint fills it.

        Raises:
            UserError: a flag that the mixture does not go with.
        """
        ATSConfig.fill(args)
        config = ATSConfig.of(args)
        _check_goes_with_mixture(args)
        model = super().build_model(args, task)
        if config.translation_strategy == "adaptive":
            model.encoder.translate_into(model.target_embeddings(), model.decoders[0].embed_scale)
        return model

    def warm_start(self, args: Namespace) -> None:
        """Read ``--lexicon``, which a run that resumes a checkpoint of its own may leave out.

        Raises:
            UserError: no lexicon, a broken one, or one of another dictionary.
        """
        super().warm_start(args)
        if args.lexicon:
            self.encoder.lexicon.fill(load_translations(args.lexicon, self.encoder.dictionary))
            self.lexicon_file = args.lexicon
        elif not goes_on(args):
            raise UserError(
                "--arch ats_transformer needs --lexicon FILE; make it with `vhm prepare lexicon`"
            )

    def target_embeddings(self) -> dict[str, nn.Embedding]:
        """The target embeddings, shared or of each task's decoder."""
        if not isinstance(self.decoder, TaskDecoders):
            return {SHARED: self.decoder.embed_tokens}
        decoders: Any = self.decoder.decoders
        return {task: decoder.embed_tokens for task, decoder in decoders.items()}

    def load_state_dict(
        self, state_dict: dict, strict: bool = True, model_cfg: Any = None, args: Any = None
    ) -> Any:
        """As the parent's; a run goes on with the lexicon that it began with.

        Raises:
            UserError: ``--lexicon`` is not what the checkpoint holds.
        """
        if self.lexicon_file and not self._has_lexicon_of(state_dict):
            raise UserError(
                f"--lexicon {self.lexicon_file}: the checkpoint was trained with another one, or with "
                "another --lexicon-candidates; give those, or another --save-dir for a run of its own"
            )
        return super().load_state_dict(state_dict, strict, model_cfg, args)

    def _has_lexicon_of(self, state_dict: dict) -> bool:
        own = self.encoder.lexicon
        words = state_dict.get("encoder.lexicon.words")
        if words is None or words.shape != own.words.shape or not torch.equal(words, own.words.cpu()):
            return False
        probability = state_dict["encoder.lexicon.probability"].float()
        return torch.allclose(probability, own.probability.cpu().float(), atol=HALF_PRECISION)


def _check_goes_with_mixture(args: Namespace) -> None:
    """Refuse what leaves the last layer without attention, or the output without a softmax over all words.

    Raises:
        UserError: names the flag.
    """
    for name in ("no_cross_attention", "decoder_layerdrop", "adaptive_softmax_cutoff"):
        if getattr(args, name, None):
            raise UserError(f"--{name.replace('_', '-')} does not go with --arch ats_transformer: drop it")


def load_translations(path: str, dictionary: Dictionary) -> dict[int, dict[int, float]]:
    """A lexicon file as source -> target -> probability, for the words that ``dictionary`` knows.

    Symbols with a meaning of their own (end of sentence, padding, unknown, tags of tasks, languages)
    neither translate nor are translations.

    Raises:
        UserError: the file is missing or broken, names a pair twice, or is of another dictionary.
    """
    marks = range(getattr(dictionary, "text_symbols", len(dictionary)), len(dictionary))
    special = {*range(dictionary.nspecial), *marks, *map(dictionary.index, map(task_tag, TASKS))}
    translations: dict[int, dict[int, float]] = defaultdict(dict)
    entries = used = 0
    for entries, (source, target, probability) in enumerate(read_lexicon(Path(path)), start=1):
        pair = dictionary.index(source), dictionary.index(target)
        if special.isdisjoint(pair):
            if pair[1] in translations[pair[0]]:
                raise UserError(f"{path}:{entries}: '{source}' and '{target}' stand there twice")
            translations[pair[0]][pair[1]] = probability
            used += 1
    if not used:
        raise UserError(
            f"{path}: DATA's dictionary has none of its words; make it from the text that was binarised "
            "(vhm prepare lexicon --data DATA)"
        )
    logger.info(
        f"lexicon {path}: {used:,} translations of {len(translations):,} symbols; {entries - used:,} of "
        f"{entries:,} entries have a word that the dictionary lacks"
    )
    return dict(translations)
