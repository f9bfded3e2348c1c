"""HuggingFace's mT5 (Xue et al., NAACL 2021) behind fairseq's interface: ``--arch hf_mt5 --hf-model FOLDER``.

Encoder, decoder and cache are those of ``MT5ForConditionalGeneration``; the ids are mT5's own, so DATA's
dictionary has to be its vocabulary (:mod:`fairseq_vhm.data.dictionaries`).  There are no latents.  A
checkpoint keeps ``config.json``, and needs the folder no more.

As CrossSum trains it (Bhattacharjee et al., ACL 2023), the decoder starts with a token of the target
language, which the task puts first in ``prev_output_tokens``: :meth:`HFMT5Model.start_token_of`.
"""

import json
import os
from argparse import Namespace
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from fairseq.data import Dictionary
from fairseq.dataclass import ChoiceEnum
from fairseq.models import (
    FairseqEncoder,
    FairseqEncoderDecoderModel,
    FairseqIncrementalDecoder,
    register_model,
)
from torch import Tensor, nn

from fairseq_vhm.compat.checkpoints import read, settings_of
from fairseq_vhm.errors import UserError
from fairseq_vhm.language_codes import language_code
from fairseq_vhm.latent import LatentBundle
from fairseq_vhm.models.config import Settings, setting
from fairseq_vhm.models.hf_weights import (
    TIED,
    empty_model,
    is_tied,
    load_model,
    new_model,
    recompute_activations,
)
from fairseq_vhm.models.initialisation import resumed_file
from fairseq_vhm.modules.token_loss import TokenLoss, decoded
from fairseq_vhm.text.mt5 import read_config
from fairseq_vhm.text.start_tokens import has_map, start_tokens, with_map

PAD, EOS = 0, 1
OVERFLOWS = (
    "mT5 overflows in it, and its loss becomes NaN (huggingface/transformers#10819); use --bf16, or neither"
)
UNBOUNDED = 1_000_000
"""Positions are relative: mT5 itself has no longest text."""
OF_CONFIG = -1.0
DECODED = "decoded"
BY_SENTENCE = ("encoder_padding_mask", "sentences")


@dataclass
class HFMT5Config(Settings):
    """Flags of ``hf_mt5``."""

    hf_model: str = setting("", "folder of an mT5 of HuggingFace's: config.json and weights to start from")
    hf_random_init: bool = setting(False, "train from scratch: of --hf-model take config.json alone")
    start_embeddings: ChoiceEnum(["pad", "checkpoint"]) = setting(  # type: ignore[valid-type]  # read by fairseq
        "pad",
        "where the embeddings of the languages' start tokens begin, in a model that has none yet: as that of "
        "the padding, with which mT5's decoder has started so far (CrossSum), or as they are",
    )
    dropout: float = setting(OF_CONFIG, "dropout in training; -1: what config.json says")
    checkpoint_activations: bool = setting(
        False, "compute each layer again in the backward pass in place of keeping its activations"
    )

    @property
    def own_dropout(self) -> float | None:
        """The dropout that the user gave, if any."""
        return None if self.dropout == OF_CONFIG else self.dropout

    def check(self) -> None:
        """See :class:`~.config.Settings`."""
        if self.dropout != OF_CONFIG and not 0 <= self.dropout < 1:
            raise UserError(f"--dropout {self.dropout}: give a probability from 0 and below 1")


class HFMT5Encoder(FairseqEncoder):
    """mT5's stack of encoder layers.

    ``encoder_out`` has ``encoder_out`` (list of one T x B x C), ``encoder_padding_mask`` (list of one B x T)
    and ``task``, as fairseq's and :mod:`~fairseq_vhm.models.vhm_transformer`'s, and ``sentences`` (list of
    one B): which sentence of the batch each row is of, so that beams of one need not be told apart.
    """

    def __init__(self, dictionary: Dictionary, stack: nn.Module):
        super().__init__(dictionary)
        self.stack = stack

    def forward(
        self, src_tokens: Tensor, src_lengths: Tensor | None = None, task: str = "cls", **_: Any
    ) -> dict:
        """Encode a batch (B x T), padded on either side; what concerns latents is not looked at."""
        padding = src_tokens.eq(self.dictionary.pad())
        states = self.stack(input_ids=src_tokens, attention_mask=~padding).last_hidden_state
        return {
            "encoder_out": [states.transpose(0, 1)],
            "encoder_padding_mask": [padding],
            "sentences": [torch.arange(len(src_tokens), device=src_tokens.device)],
            "task": [task],
        }

    def reorder_encoder_out(self, encoder_out: dict, new_order: Tensor) -> dict:
        """The sentences ``new_order`` (B'), repeated or left out."""
        reordered = {name: [x.index_select(0, new_order) for x in encoder_out[name]] for name in BY_SENTENCE}
        states = [x.index_select(1, new_order) for x in encoder_out["encoder_out"]]
        return {**encoder_out, **reordered, "encoder_out": states}

    def max_positions(self) -> int:
        return UNBOUNDED


@dataclass
class Decoded:
    """What is kept of the positions decoded so far: HuggingFace's cache, and the sentence of each row."""

    cache: Any
    sentences: Tensor

    @property
    def length(self) -> int:
        """How many positions."""
        return self.cache.get_seq_length()

    def reorder(self, rows: Tensor) -> None:
        """Keep the target sides of ``rows``; their sources follow with :meth:`attend`."""
        self.cache.self_attention_cache.reorder_cache(rows)

    def attend(self, sentences: Tensor) -> None:
        """Let each row attend to its sentence; nothing is copied while beams change within their sentence."""
        if not torch.equal(self.sentences, sentences):
            rows = sentences.unsqueeze(1).eq(self.sentences).int().argmax(dim=1)
            self.cache.cross_attention_cache.reorder_cache(rows)
            self.sentences = sentences


class HFMT5Decoder(FairseqIncrementalDecoder):
    """mT5's stack of decoder layers and its output layer; incremental by HuggingFace's own cache."""

    def __init__(self, dictionary: Dictionary, stack: nn.Module, lm_head: nn.Linear):
        super().__init__(dictionary)
        self.stack, self.lm_head = stack, lm_head

    def forward(
        self,
        prev_output_tokens: Tensor,
        encoder_out: dict,
        incremental_state: dict | None = None,
        features_only: bool = False,
        **_: Any,
    ) -> Any:
        """Logits (B x T x V), or states (B x T x C) with ``features_only``, and fairseq's extra outputs.

        With ``incremental_state``: of the positions that it does not hold yet.
        """
        states, extra = self.extract_features(prev_output_tokens, encoder_out, incremental_state)
        return (states if features_only else self.output_layer(states)), extra

    def extract_features(
        self, prev_output_tokens: Tensor, encoder_out: dict, incremental_state: dict | None = None, **_: Any
    ) -> Any:
        """Decoder states (B x T x C); no attention is handed out."""
        decoded = self.get_incremental_state(incremental_state, DECODED)
        sentences = encoder_out["sentences"][0]
        if decoded is not None:
            decoded.attend(sentences)
            prev_output_tokens = prev_output_tokens[:, decoded.length :]
        out = self.stack(
            input_ids=prev_output_tokens,
            encoder_hidden_states=encoder_out["encoder_out"][0].transpose(0, 1),
            encoder_attention_mask=~encoder_out["encoder_padding_mask"][0],
            past_key_values=decoded and decoded.cache,
            use_cache=incremental_state is not None,
        )
        if incremental_state is not None and decoded is None:
            self.set_incremental_state(incremental_state, DECODED, Decoded(out.past_key_values, sentences))
        return out.last_hidden_state, {"attn": [None]}

    def output_layer(self, features: Tensor, **_: Any) -> Tensor:
        """Logits of states."""
        return self.lm_head(features)

    def reorder_incremental_state(self, incremental_state: dict, new_order: Tensor) -> None:
        """Keep the beams ``new_order``; ``encoder_out`` is reordered alike, as fairseq's generator does."""
        decoded = self.get_incremental_state(incremental_state, DECODED)
        if decoded is not None:
            decoded.reorder(new_order)

    def max_positions(self) -> int:
        return UNBOUNDED


@register_model("hf_mt5")
class HFMT5Model(FairseqEncoderDecoderModel):
    """mT5; :class:`HFMT5Config` has its flags.

    Args:
        model: a ``MT5ForConditionalGeneration``.
        config: its ``config.json``, with the languages' start tokens.
    """

    latent_sizes: dict[str, int] = {}
    extra_losses: tuple[str, ...] = ()
    num_updates = 0
    takes_token_loss = True

    def __init__(self, model: Any, config: dict, dictionary: Dictionary):
        encoder = HFMT5Encoder(dictionary, model.encoder)
        super().__init__(encoder, HFMT5Decoder(dictionary, model.decoder, model.lm_head))
        self.config = config
        self.start_tokens = start_tokens(config)

    @classmethod
    def hub_models(cls) -> dict:
        return {}

    @classmethod
    def add_args(cls, parser: Any) -> None:
        HFMT5Config.add_args(parser)

    @classmethod
    def build_model(cls, args: Namespace, task: Any) -> "HFMT5Model":
        """Build the model, with its weights where a run begins with those of ``--hf-model``.

        A checkpoint says in ``args.hf_config`` what it is; a run that goes on from one reads it there.

        Raises:
            UserError: no folder or a broken one, or DATA's dictionary or a flag does not go with it.
        """
        HFMT5Config.fill(args)
        settings = HFMT5Config.of(args)
        _check_run(args)
        dictionary = task.target_dictionary
        known = getattr(args, "hf_config", None) or _config_of_checkpoint(args)
        config = json.loads(known) if known else _config_of_folder(settings.hf_model)
        _check_dictionary(dictionary, config["vocab_size"], args)
        if known:
            model = empty_model(config, settings.own_dropout)
        elif settings.hf_random_init:
            model = new_model(config, settings.own_dropout)
        else:
            model = load_model(settings.hf_model, config, settings.own_dropout)
        if settings.checkpoint_activations:
            recompute_activations(model)
        built = cls(model, with_map(config) | {TIED: is_tied(model)}, dictionary)
        if not known and not has_map(config) and settings.start_embeddings == "pad":
            built.start_as_padding()
        args.hf_config = json.dumps(built.config, ensure_ascii=False)
        return built

    @classmethod
    def from_pretrained(
        cls, model_name_or_path: str, checkpoint_file: str = "checkpoint_best.pt", **kwargs: Any
    ) -> Any:
        """Load a trained model, as fairseq's users know it, with ``.summarize(list of texts)`` added."""
        from fairseq_vhm.generation.hub import load

        return load(cls, model_name_or_path, checkpoint_file, **kwargs)

    def warm_start(self, args: Namespace) -> None:
        """Tasks ask for it before a run; here the weights came with the model."""

    def start_token_of(self, language: str) -> int:
        """The id of the token that the decoder starts with to write ``language`` (a code, or XL-Sum's name).

        Raises:
            UserError: the model has none.
        """
        token = self.start_tokens.get(language_code(language))
        if token is None or token not in self.decoder.dictionary:
            raise UserError(
                f"'{language}': the model has no start token for it; its languages are "
                f"{', '.join(sorted(self.start_tokens))}"
            )
        return self.decoder.dictionary.index(token)

    def start_as_padding(self) -> None:
        """Give the start tokens the embedding of the padding, which mT5's decoder has started with so far."""
        dictionary, embeddings = self.decoder.dictionary, self.encoder.stack.embed_tokens.weight
        ids = [dictionary.index(token) for token in self.start_tokens.values() if token in dictionary]
        with torch.no_grad():
            embeddings[ids] = embeddings[dictionary.pad()].clone()

    def half(self) -> "HFMT5Model":
        """Refused.

        Raises:
            UserError: always.
        """
        raise UserError(f"--fp16: {OVERFLOWS}")

    def prepare_for_inference_(self, cfg: Any) -> None:
        """As fairseq's.

        Raises:
            UserError: attention is asked for, which HuggingFace's fast attention does not hand out.
        """
        if getattr(cfg.generation, "print_alignment", None):
            raise UserError("--print-alignment: hf_mt5 hands out no attention; drop the flag")
        super().prepare_for_inference_(cfg)

    def set_num_updates(self, num_updates: int) -> None:
        """The update that a criterion's schedules go by."""
        super().set_num_updates(num_updates)
        self.num_updates = num_updates

    def forward(
        self,
        src_tokens: Tensor,
        src_lengths: Tensor,
        prev_output_tokens: Tensor,
        task: str = "cls",
        target: Tensor | None = None,
        summary: Tensor | None = None,
        latent_noise: object = None,
        token_loss: TokenLoss | None = None,
        **decoder_options: Any,
    ) -> Any:
        """Logits (B x T x V) of the decoder fed with ``prev_output_tokens``, and its extra outputs.

        With ``token_loss``: the loss of ``target`` in place of its logits.  ``summary`` and ``latent_noise``
        are for models with latents, of which this has none.
        """
        encoder_out = self.encoder(src_tokens, src_lengths, task=task)
        decode = partial(self.decoder, prev_output_tokens, encoder_out, **decoder_options)
        out, extra = decoded(decode, self.decoder.lm_head, token_loss, target)
        return out, extra | {"latents": LatentBundle(), "losses": {}}


def _check_run(args: Namespace) -> None:
    if getattr(args, "amp", False):
        raise UserError(f"--amp is fp16 where it counts: {OVERFLOWS}")
    if getattr(args, "left_pad_target", False):
        raise UserError("--left-pad-target: mT5 reads targets that are padded on the right; drop the flag")


def _config_of_checkpoint(args: Namespace) -> str | None:
    """What the checkpoint that a run goes on from, or fine-tunes, says of its model; ``None`` without one."""
    for path in (resumed_file(args), getattr(args, "finetune_from_model", None)):
        if path and os.path.isfile(path):
            return settings_of(read(path)).get("hf_config")
    return None


def _config_of_folder(folder: str) -> dict:
    if not folder:
        raise UserError(
            "--arch hf_mt5 needs --hf-model FOLDER: an mT5 such as google/mt5-base or "
            "csebuetnlp/mT5_m2m_crossSum, downloaded from the Hugging Face hub"
        )
    return read_config(Path(folder), "--hf-model")


def _check_dictionary(dictionary: Dictionary, rows: int, args: Namespace) -> None:
    if (dictionary.pad(), dictionary.eos(), len(dictionary)) != (PAD, EOS, rows):
        raise UserError(
            f"{getattr(args, 'data', 'DATA')}: its dictionary has {len(dictionary):,} symbols and is not the "
            f"model's, which has {rows:,}: prepare DATA with the mT5's (vhm prepare crosssum --mt5 FOLDER)"
        )
