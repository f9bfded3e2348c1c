"""A new task: writing the titles of documents, trained beside CLS, MT and MS with a latent of its own.

    fairseq-preprocess -s en -t en_title ... --destdir DATA/title
    fairseq-train DATA --user-dir examples/extending/title_task --tasks cls,mt,ms,title \
        --latents mt,ms,title,cls ...
    fairseq-generate DATA --user-dir examples/extending/title_task --eval-task title ...

As z_mt and z_ms do, z_title enters the decoder of its own task and conditions z_cls on CLS.  Leave it out of
--latents, and the task is trained without one.
"""

from fairseq_vhm.latent import Latent, register_latent
from fairseq_vhm.names import register_training_task

register_training_task("title", "titles of documents")
register_latent(Latent("title", task="title", feeds=("cls",)))
