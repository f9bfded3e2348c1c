"""When a latent's KL near 0 is warned of: updates, means and pauses."""

import logging

import pytest

from fairseq_vhm.criterions.collapse import CollapseWatch


def updates_of_warnings(kls, count: int = 1) -> list[int]:
    """The updates at which z_mt is warned of; each KL is of ``count`` sentences."""
    watch = CollapseWatch()
    logs = ([{"kl_mt": kl * count, "kl_mt_sentences": count}, {}] for kl in kls)
    return [update for update, log in enumerate(logs, 1) if watch.update(log)]


def test_a_kl_near_0_is_warned_of_after_500_updates_and_then_every_5000():
    assert updates_of_warnings([0.01] * 11_000) == [500, 5500, 10_500]


@pytest.mark.parametrize(("kl", "warned"), [(0.0998, [500]), (0.1002, [])])
def test_near_0_is_below_a_tenth_of_a_nat_a_sentence(kl, warned):
    assert updates_of_warnings([kl] * 500) == updates_of_warnings([kl] * 500, count=7) == warned


def test_one_window_above_begins_the_count_anew():
    low, high = [0.01] * 250, [1.0] * 250
    assert updates_of_warnings([*low, *high, *low, *high]) == []
    assert updates_of_warnings([*low, *high, *low, *low]) == [1000]
    assert updates_of_warnings([*[0.1002] * 250, *low, *low]) == [750]


def test_the_mean_is_of_the_last_window_over_its_sentences(caplog):
    """Sentences weigh alike, however many an update has; logs of other latents do not count."""
    first = [{"kl_mt": 0.05, "kl_mt_sentences": 1}] * 250
    sizes = [{"kl_mt": 0.01, "kl_mt_sentences": 1}, {"kl_mt": 0.27, "kl_mt_sentences": 3}]
    watch = CollapseWatch()
    with caplog.at_level(logging.WARNING):
        for log in [*first, *sizes * 125]:
            watch.update([log, {"kl_cls": 9.0, "kl_cls_sentences": 1}])
    [line] = caplog.messages
    assert line.startswith("z_mt: its KL has stayed near 0 for 500 updates (0.0700 nats a sentence)")


def test_a_latent_without_a_kl_in_a_window_is_passed_over():
    """Its count stands still: nothing was seen of it."""
    watch = CollapseWatch()
    near, nothing = {"kl_mt": 0.01, "kl_mt_sentences": 1}, {"kl_mt": 0.0, "kl_mt_sentences": 0}
    for log, warned in ((near, []), (nothing, []), (near, ["mt"])):
        assert [name for _ in range(250) for name in watch.update([log])] == warned
