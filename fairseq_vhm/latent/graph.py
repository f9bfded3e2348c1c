"""Which latents there are and which feeds which: z_mt and z_ms feed z_cls (Liang et al. 2022, Eq. 2-7).

The table of :data:`LATENTS` is the graph; a plugin adds a latent to it (:func:`register_latent`), and
:mod:`fairseq_vhm.modules.hierarchy` builds what ``--latents`` names of it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

Network = Callable[..., nn.Module]


@dataclass(frozen=True)
class Latent:
    """One latent, z_NAME.

    Args:
        task: the task that it is the latent of, where its KL is charged and whose decoder it enters; on CLS
            every latent is inferred, and those that feed no other enter the decoder.
        feeds: the latents that it conditions, where the model has them.
        prior, posterior: made with the width of their input, D and the settings of ``--latent-mlp-*`` and
            ``--latent-head`` (``layers``, ``hidden``, ``head``); called with ``h_x`` and the draws that feed
            the latent, for a posterior also ``h_y``, each (B x something), they give a
            :class:`~fairseq_vhm.latent.DiagonalGaussian`.  ``None``: a
            :class:`~fairseq_vhm.modules.LatentNetwork`.
    """

    name: str
    task: str
    feeds: tuple[str, ...] = ()
    prior: Network | None = None
    posterior: Network | None = None


LATENTS = {
    "mt": Latent("mt", task="mt", feeds=("cls",)),
    "ms": Latent("ms", task="ms", feeds=("cls",)),
    "cls": Latent("cls", task="cls"),
}
"""Name -> latent, each before those that it feeds: the order in which they are drawn, joined and named."""


def register_latent(latent: Latent) -> None:
    """Add a latent that ``--latents`` knows.

    Raises:
        ValueError: there is one of that name, the name is no identifier, or one that it feeds is not known.
    """
    unknown = [name for name in latent.feeds if name not in LATENTS]
    if latent.name in LATENTS or not latent.name.isidentifier() or unknown:
        what = "needs an identifier that no latent has"
        if unknown:
            what = f"feeds '{unknown[0]}', which is unknown"
        raise ValueError(f"the latent '{latent.name}' {what}")
    names = list(LATENTS)
    place = min((names.index(name) for name in latent.feeds), default=len(names))
    names.insert(place, latent.name)
    ordered = {name: LATENTS.get(name, latent) for name in names}
    LATENTS.clear()
    LATENTS.update(ordered)
