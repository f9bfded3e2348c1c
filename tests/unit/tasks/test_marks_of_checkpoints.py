"""What a checkpoint's model was trained with is what its texts get; a flag or a second one may not differ."""

import pytest

from fairseq_vhm.errors import UserError
from fairseq_vhm.names import TASKS

ENSEMBLES = {
    "tags": ({"task_tag": "source"}, {"task_tag": "target"}),
    "bos": ({"text_bos": False}, {"text_bos": True}),
    "languages": ({"langs": None}, {"langs": "en_XX,zh_CN"}),
    "order": ({"langs": "en_XX,zh_CN"}, {"langs": "zh_CN,en_XX"}),
}


def add(task, cfg) -> None:
    task.build_model(cfg, from_checkpoint=True)


@pytest.mark.parametrize("case", ENSEMBLES)
@pytest.mark.parametrize("turned", [False, True], ids=["", "turned"])
def test_checkpoints_of_one_ensemble_must_agree_on_the_marks_of_a_source(
    cross_lingual, of_model, case, turned
):
    """Else the last of them decides, and the others read what they were not trained on."""
    first, second = reversed(ENSEMBLES[case]) if turned else ENSEMBLES[case]
    task = cross_lingual()
    add(task, of_model(**first))
    with pytest.raises(UserError, match="^--path: its checkpoints were trained with different --task-tag"):
        add(task, of_model(**second))
    for flags in (first, second):
        task = cross_lingual()
        add(task, of_model(**flags))
        add(task, of_model(**flags))


def test_checkpoints_of_many_languages_must_agree_on_the_tag(many_to_many, of_model):
    task, languages = many_to_many(), "en,fr,zh"
    add(task, of_model(task_tag="source", languages=languages))
    with pytest.raises(UserError, match="^--path: its checkpoints were trained with different --task-tag"):
        add(task, of_model(task_tag="none", languages=languages))


@pytest.mark.parametrize(
    ("flag", "expected"), [([], (50, 9, 9)), (["--max-source-positions=30"], (30, 9, 9))]
)
def test_sources_are_cut_for_the_shortest_of_an_ensemble(
    cross_lingual, of_model, monkeypatch, flag, expected
):
    monkeypatch.setattr("sys.argv", ["fairseq-generate", *flag])
    task = cross_lingual(max_source_positions=30)
    for longest, limit in zip((50, 9, 20), expected, strict=True):
        add(task, of_model(max_source_positions=longest))
        assert task.max_positions()[0] == limit


def test_sources_are_cut_where_training_did_though_the_model_takes_longer_ones(many_to_many, of_model):
    task = many_to_many(max_source_positions=512)
    add(task, of_model(task_tag="none", languages="en,fr,zh", max_source_positions=1024, source_length=300))
    assert task.max_positions()[0] == 300
    older = many_to_many(max_source_positions=512)
    add(older, of_model(task_tag="none", languages="en,fr,zh", max_source_positions=1024))
    assert older.max_positions()[0] == 512


@pytest.mark.parametrize(
    ("flags", "trained", "named"),
    [
        ({"task_tag": "target"}, {"task_tag": "source"}, "--task-tag target: the checkpoint was trained"),
        ({"text_bos": True}, {"task_tag": "source"}, "--text-bos: the checkpoint was trained without"),
        ({"langs": "en_XX,zh_CN"}, {}, "--langs en_XX,zh_CN: the checkpoint was trained with no --langs"),
    ],
)
def test_a_flag_against_the_checkpoint_is_refused(cross_lingual, of_model, flags, trained, named):
    with pytest.raises(UserError, match=f"^{named}.*drop the flag"):
        add(cross_lingual(**flags), of_model(**trained))


def test_a_tag_against_the_checkpoint_of_many_languages_is_refused(many_to_many, of_model):
    with pytest.raises(UserError, match="^--task-tag none: the checkpoint was trained with source; drop"):
        add(many_to_many(task_tag="none"), of_model(task_tag="source", languages="en,fr,zh"))


@pytest.mark.parametrize("task", ["cross_lingual", "many_to_many"])
def test_a_model_that_is_not_told_the_task_is_refused_with_those_that_are(task, request, of_model):
    from fairseq.models.transformer import TransformerModel, base_architecture

    args = of_model(languages="en,fr,zh", task_tag="source")
    args.arch = args._name = "transformer"
    base_architecture(args)
    assert not hasattr(TransformerModel, "latent_sizes")
    with pytest.raises(UserError, match="--arch transformer does not read batches") as refused:
        add(request.getfixturevalue(task)(), args)
    assert ("--arch hf_mt5" in str(refused.value)) == (task == "many_to_many")


def test_a_latent_of_summaries_is_refused_where_there_are_none(many_to_many, of_model):
    task = many_to_many(tasks="cls,mt,ms")
    with pytest.raises(UserError, match="^--cls-local-target summary: this task does not give it"):
        task.build_model(of_model(cls_local_target="summary"))
    assert set(task.streams) == set(TASKS)
