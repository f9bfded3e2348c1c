"""The learned parts of the latents: pooling, prior and recognition networks, their graph, and Eq. 8."""

from fairseq_vhm.modules.fusion import LatentFusion
from fairseq_vhm.modules.hierarchy import LatentHierarchy
from fairseq_vhm.modules.latent_nets import LatentNetwork
from fairseq_vhm.modules.pooling import POOLING, masked_mean

__all__ = ["POOLING", "LatentFusion", "LatentHierarchy", "LatentNetwork", "masked_mean"]
