"""Parameter counts of the paper (Liang et al. 2022, Tables 2 and 3), at its vocabulary sizes."""

import argparse
from types import SimpleNamespace

import pytest
import torch
from tiny import make_dictionary

from fairseq_vhm.data.loading import TASKS
from fairseq_vhm.models import VHMTransformerModel
from fairseq_vhm.models.architectures import vhm_transformer


def millions(vocabulary: int, **flags) -> float:
    """Parameters of ``vhm_transformer`` for a dictionary of ``vocabulary`` symbols, all counted."""
    special = len(make_dictionary([])) - len(TASKS)
    words = [str(i) for i in range(vocabulary - special - len(TASKS))]
    dictionary = make_dictionary(words)
    assert len(dictionary) == vocabulary
    args = argparse.Namespace(**flags)
    vhm_transformer(args)
    with torch.device("meta"):
        model = VHMTransformerModel.build_model(
            args, SimpleNamespace(source_dictionary=dictionary, target_dictionary=dictionary)
        )
    return sum(p.numel() for p in model.parameters()) / 1e6


@pytest.mark.parametrize(
    ("vocabulary", "latents", "paper"),
    [
        (69_090, "mt,ms,cls", 117.40),
        (69_090, "none", 114.90),
        (108_700, "mt,ms,cls", 158.00),
        (108_700, "none", 155.50),
    ],
)
def test_parameter_counts_are_the_papers(vocabulary, latents, paper):
    assert millions(vocabulary, latents=latents) == pytest.approx(paper, abs=0.01)


def test_fairseqs_own_biases_add_58368_and_take_the_output_bias_away():
    difference = millions(69_090, latents="none", biases="fairseq") - millions(69_090, latents="none")
    assert difference * 1e6 == pytest.approx(58_368 - 69_090)
