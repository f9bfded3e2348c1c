"""``--best-checkpoint-metric``: what nobody computes is refused before training, not an epoch later."""

import math
from types import SimpleNamespace

import pytest
import tiny
from fairseq.logging import metrics
from omegaconf import OmegaConf

from fairseq_vhm.compat.best_metric import choose_by_the_first
from fairseq_vhm.criterions.elbo import ElboCriterion, ElboCriterionConfig
from fairseq_vhm.errors import UserError

OF_ALL = {"loss", "nll_loss", "ppl", "kl_weight"}


def criterion_of(task, of_model, latents: str = "mt,ms,cls", **flags):
    """As fairseq-train builds it, behind the model."""
    task.build_model(of_model(latents=latents))
    config = OmegaConf.structured(ElboCriterionConfig(_name="elbo"))
    return task.build_criterion(OmegaConf.merge(config, {"sentence_avg": False, **flags}))


@pytest.mark.parametrize(
    ("latents", "flags"), [("mt,ms,cls", {}), ("none", {"report_accuracy": True})], ids=["vhm", "none"]
)
def test_what_may_be_chosen_by_is_what_a_validation_logs(cross_lingual, of_model, latents, flags):
    task = cross_lingual(eval_rouge=True, eval_bleu=True, eval_metrics="length")
    criterion = criterion_of(task, of_model, latents, **flags).eval()
    model = task.build_model(of_model(latents=latents)).eval()
    batches = [tiny.make_batch(task.dictionary, kind) for kind in task.streams]
    scored = task.generation_metrics
    sums = scored.score([[{"tokens": batches[0]["target"][0]}]], batches[0]["target"][:1], False)
    with metrics.aggregate(new_root=True) as logged:
        criterion.reduce_metrics([criterion(model, batch)[2] for batch in batches])
        scored.reduce([sums])
    counts = {"n_correct", "total"}  # of the accuracy
    assert {*criterion.logged(), *scored.names} == set(logged.get_smoothed_values()) - counts
    assert set(criterion.logged()) >= OF_ALL and "rougeL" in scored.names


@pytest.mark.parametrize("task", ["cross_lingual", "many_to_many"])
def test_a_metric_that_nobody_computes_is_refused_with_those_that_are_there(task, request, of_model):
    made = request.getfixturevalue(task)(best_checkpoint_metric="nll_los_cls", tasks="cls,mt,ms")
    said = "^--best-checkpoint-metric nll_los_cls: .*, nll_loss_cls, "
    with pytest.raises(UserError, match=said) as refused:
        criterion_of(made, of_model)
    assert ("--eval-metrics" in str(refused.value)) == (task == "cross_lingual")


@pytest.mark.parametrize("metric", ["kl_ms", "nll_loss_mt", "rouge2", "chrf"])
def test_metrics_of_tasks_latents_and_outputs_may_be_chosen_by(cross_lingual, of_model, metric):
    task = cross_lingual(best_checkpoint_metric=metric, eval_rouge=True, eval_metrics="chrf")
    assert isinstance(criterion_of(task, of_model), ElboCriterion)


def test_a_criterion_that_logs_more_is_not_asked():
    class More(ElboCriterion):
        @classmethod
        def reduce_metrics(cls, logging_outputs):
            pass

    assert More.logged(object.__new__(More)) is None


def validated(stats: dict, metric: str, first: bool) -> dict:
    """What fairseq's loop gets to see of a subset."""
    program = SimpleNamespace(get_valid_stats=lambda cfg, trainer, stats, tracking_best: stats)
    choose_by_the_first(program)
    cfg = SimpleNamespace(
        checkpoint=SimpleNamespace(best_checkpoint_metric=metric),
        dataset=SimpleNamespace(valid_subset="valid_cls,valid_mt"),
    )
    return program.get_valid_stats(cfg, None, stats, first)


def test_the_first_subset_must_have_the_metric_and_no_other_need():
    stats = {"loss": 1.0, "loss_mt": 1.0, "_hidden": 2.0}
    said = "of the first of --valid-subset valid_cls,valid_mt does not compute it; choose from loss, loss_mt"
    with pytest.raises(UserError, match=f"^--best-checkpoint-metric loss_cls: validation {said}$"):
        validated(stats, "loss_cls", first=True)
    found = validated(stats, "loss_cls", first=False)
    assert math.isnan(found["loss_cls"]) and found == stats
    assert validated(stats, "loss_mt", first=True) is stats
