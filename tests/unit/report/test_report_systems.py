"""Names of systems, from settings alone."""

import pytest
from reports import write_checkpoint

from fairseq_vhm.report.checkpoint import read_checkpoint
from fairseq_vhm.report.overrides import Override
from fairseq_vhm.report.runs import Run
from fairseq_vhm.report.systems import ablation_row, base_name, group


@pytest.fixture
def trained(tmp_path):
    """``trained("folder", **settings)``: a run with such a checkpoint."""

    def make(name: str, **settings) -> Run:
        return Run(name, checkpoint=read_checkpoint(write_checkpoint(tmp_path / name, **settings)))

    return make


@pytest.mark.parametrize(
    ("settings", "name", "row"),
    [
        ({}, "VHM", 0),
        ({"latents": "cls, mt,ms"}, "VHM", 0),
        ({"latents": "none"}, "MT-MS-CLS", None),
        ({"latents": "none", "tasks": "cls"}, "TNCLS", None),
        ({"latents": "ms,cls"}, "w/o z_mt", 1),
        ({"latents": "mt,cls"}, "w/o z_ms", 2),
        ({"latents": "cls"}, "w/o z_mt & z_ms", 3),
        ({"latents": "mt,ms"}, "w/o z_cls", 4),
        ({"no_hierarchy": True}, "w/o hierarchy", 5),
        ({"arch": "vhm_mbart_large"}, "VHM + mBART", 0),
        ({"arch": "vhm_transformer_tiny"}, "VHM", 0),
        ({"released_code_compat": True, "kl_normalization": "released"}, "VHM, as released", 0),
        (
            {"released_code_compat": True, "kl_normalization": "sum"},
            "VHM, as released but --kl-normalization sum",
            0,
        ),
        ({"latents": "mt"}, "vhm_transformer --latents mt", None),
        ({"tasks": "cls,ms"}, "vhm_transformer --latents mt,ms,cls --tasks cls,ms", None),
        ({"arch": "transformer"}, "transformer", None),
        ({"arch": "ats_transformer", "translation_strategy": "naive"}, "ATS-N", None),
        ({"arch": "ms_cls_rec_transformer_tiny"}, "MS-CLS-Rec", None),
        ({"latents": "none", "tasks": "ms,cls", "decoders": "task"}, "MS-CLS", None),
        ({"latents": "none", "tasks": "cls,mt", "decoders": "task"}, "MT-CLS", None),
        (
            {"latents": "none", "decoders": "task"},
            "vhm_transformer --latents none --decoders task",
            None,
        ),
        (
            {"latents": "none", "tasks": "cls", "language_sampling": "multistage"},
            "Transformer many-to-many, multistage",
            None,
        ),
        ({"language_sampling": "unistage", "pairs": "*-en"}, "VHM *-en, unistage", 0),
        ({"latents": "none", "pretraining_tasks": "mlm,dae"}, "pre-training on mlm,dae", None),
        ({"latents": "none", "tasks": "cls", "finetune_from_model": "x.pt"}, "TNCLS, fine-tuned", None),
    ],
)
def test_a_system_is_named_by_its_settings_whatever_its_folder(trained, settings, name, row):
    run = trained("MT-MS-CLS", **settings)
    assert base_name(run) == name
    assert ablation_row(run) == row


def test_the_users_name_wins_and_a_run_of_outputs_alone_has_its_folders(trained):
    named = trained("a")
    named.override = Override(name="ours")
    assert base_name(named) == "ours"
    assert base_name(Run("zh2en/pipeline")) == "zh2en/pipeline"


def test_seeds_of_one_configuration_are_one_system(trained):
    (system,) = group([trained(f"seed{seed}", seed=seed) for seed in (1, 2, 3)])
    assert system.name == "VHM" and len(system.runs) == 3


def test_shares_of_the_training_pairs_are_systems_of_one_name(trained):
    systems = group([trained("a", cls_fraction=0.001), trained("b"), trained("c", cls_fraction=0.1)])
    assert [one.label for one in systems] == ["VHM, 0.1 % of CLS", "VHM, 10 % of CLS", "VHM"]


def test_equal_names_of_unlike_settings_are_told_apart_by_what_differs(trained):
    systems = group([trained("a", kl_anneal_steps=10), trained("b", kl_anneal_steps=20)])
    assert [one.name for one in systems] == ["VHM (kl_anneal_steps=10)", "VHM (kl_anneal_steps=20)"]


def test_where_much_differs_the_run_tells(trained):
    many = {"kl_anneal_steps": 10, "max_tokens": 9, "latent_dim": 3, "max_update": 5}
    systems = group([trained("a", **many), trained("b")])
    assert sorted(one.name for one in systems) == ["VHM (a)", "VHM (b)"]


def test_rows_are_in_the_papers_order_with_ablations_last(trained):
    runs = [
        trained("1", no_hierarchy=True),
        trained("2"),
        trained("3", latents="none"),
        trained("4", latents="none", tasks="cls"),
        trained("5", latents="ms,cls"),
        Run("other"),
    ]
    names = [one.name for one in group(runs)]
    assert names == ["TNCLS", "other", "MT-MS-CLS", "VHM", "w/o z_mt", "w/o hierarchy"]
