"""A plugin's latent finds its place in the graph, or is refused."""

import pytest

from fairseq_vhm.latent import LATENTS, Latent, register_latent


@pytest.fixture(autouse=True)
def graph_as_it_was():
    before = dict(LATENTS)
    yield
    LATENTS.clear()
    LATENTS.update(before)


@pytest.mark.parametrize(
    ("feeds", "order"),
    [
        ((), ["mt", "ms", "cls", "topic"]),
        (("cls",), ["mt", "ms", "topic", "cls"]),
        (("cls", "mt"), ["topic", "mt", "ms", "cls"]),
    ],
)
def test_a_latent_stands_before_those_that_it_feeds(feeds, order):
    register_latent(Latent("topic", task="cls", feeds=feeds))
    assert list(LATENTS) == order and LATENTS["topic"].feeds == feeds


@pytest.mark.parametrize(
    ("latent", "message"),
    [
        (Latent("cls", task="cls"), "'cls' needs an identifier that no latent has"),
        (Latent("my topic", task="cls"), "'my topic' needs an identifier"),
        (Latent("topic", task="cls", feeds=("cls", "style")), "'topic' feeds 'style', which is unknown"),
        (Latent("topic", task="cls", feeds=("topic",)), "'topic' feeds 'topic', which is unknown"),
    ],
)
def test_a_latent_without_a_place_is_refused_and_the_graph_stays(latent, message):
    before = dict(LATENTS)
    with pytest.raises(ValueError, match=message):
        register_latent(latent)
    assert list(LATENTS.items()) == list(before.items())
