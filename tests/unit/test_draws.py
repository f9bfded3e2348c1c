"""Draws of the latents at decoding."""

import torch

from fairseq_vhm.generation.draws import latent_noise, merge_draws

PAD = 1
SIZES = {"mt": 4, "cls": 6}


def noise(rows: list[list[int]], seed: int = 1, draw: int = 0) -> dict:
    return latent_noise(torch.tensor(rows), PAD, SIZES, seed, draw)


def test_noise_of_a_text_does_not_depend_on_its_batch_or_padding():
    together = noise([[PAD, PAD, 5, 6, 2], [7, 8, 9, 5, 2]])
    alone = noise([[5, 6, 2]])
    for name, size in SIZES.items():
        assert together[name].shape == (2, size)
        torch.testing.assert_close(together[name][0], alone[name][0])


def test_seed_draw_and_text_each_change_the_noise():
    base = noise([[5, 6, 2]])["cls"]
    for other in (noise([[5, 6, 2]], seed=2), noise([[5, 6, 2]], draw=1), noise([[5, 7, 2]])):
        assert not torch.allclose(base, other["cls"])


def test_noise_is_standard_normal():
    rows = torch.arange(3 * 3000).reshape(3000, 3) + 2
    values = latent_noise(rows, PAD, {"cls": 8}, 1, 0)["cls"]
    assert abs(values.mean()) < 0.02 and abs(values.std() - 1) < 0.02


def test_merged_draws_are_sorted_by_score_without_repeats():
    def hypo(tokens, score):
        return {"tokens": torch.tensor(tokens), "score": torch.tensor(score)}

    first = [[hypo([5, 2], -1.0), hypo([6, 2], -3.0)]]
    second = [[hypo([5, 2], -0.5), hypo([7, 2], -2.0)]]
    merged = merge_draws([first, second])
    assert [(h["tokens"].tolist(), float(h["score"])) for h in merged[0]] == [
        ([5, 2], -0.5),
        ([7, 2], -2.0),
        ([6, 2], -3.0),
    ]
