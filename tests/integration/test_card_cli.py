"""``vhm card`` as a user runs it, on models that fairseq trained."""

import json
import re
import shlex
import shutil
import sys
from functools import partial

import many
import pytest
import torch
import yaml
from commands import PLUGIN, REPOSITORY, SHORT_RUN, read
from fairseq import checkpoint_utils
from golden.golden import FORMS, HERE, data_of
from reports import write_checkpoint, write_scores

from fairseq_vhm.cli import main

FILES = {"README.md", "CITATION.cff"}
ROUGE = {"f": 36.12345, "p": 30.1, "r": 40.2, "low": 35.0, "high": 37.1}
SCORES = {
    "metric": {"rouge1": ROUGE, "bleu": {"value": 12.5}},
    "signature": {"rouge1": "rouge|case:lc|tok:zh-char", "bleu": "nrefs:1|case:mixed|tok:zh|version:2.4"},
    "n": 13,
}
VHM_DOI, CROSSSUM_DOI = "10.18653/v1/2022.acl-long.148", "10.18653/v1/2023.acl-long.143"
MBART_DOI, MT5_DOI = "10.1162/tacl_a_00343", "10.18653/v1/2021.naacl-main.41"
FOLLOWED = {
    "vhm_transformer": [VHM_DOI],
    "bf16": [VHM_DOI],
    "ats": ["10.18653/v1/2020.acl-main.121"],
    "ms_cls_rec": ["10.18653/v1/2020.acl-main.554"],
    "pretraining": ["10.18653/v1/2020.aacl-main.53"],
    "mbart": [VHM_DOI, MBART_DOI],
    "mt5": [MT5_DOI],
    "many": [VHM_DOI, CROSSSUM_DOI],
    "many_mt5": [CROSSSUM_DOI, MT5_DOI],
}
"""Old checkpoint -> DOIs of the papers that it follows, as the ACL Anthology and TACL have them."""
SOURCE = re.compile(r"\((\w+) et al\., (\d+)\)")


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    path = tmp_path_factory.mktemp("scores") / "scores.json"
    path.write_text(json.dumps(SCORES), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def made(forked, trained, scores, tmp_path_factory):
    """The folder of a card, and what ``--json`` printed."""
    out = tmp_path_factory.mktemp("cards") / "card"
    flags = ("--scores", scores, "--license", "cc-by-4.0", "--out", out, "--json")
    process = forked("vhm", "card", trained / "checkpoint_last.pt", *flags)
    return out, json.loads(process.stdout)


@pytest.fixture
def small(tmp_path):
    """A checkpoint in fairseq's format with next to no weights; ``small(latents="none")``."""
    return lambda **settings: write_checkpoint(
        tmp_path / "run", {"w": torch.ones(2)}, **{"data": "DATA", **settings}
    )


def parts(folder) -> tuple[dict, str]:
    """The card's metadata and its text."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    _, front, body = text.split("---\n", 2)
    return yaml.safe_load(front), body


def citation(folder) -> dict:
    return yaml.safe_load((folder / "CITATION.cff").read_text(encoding="utf-8"))


@pytest.fixture
def vhm_card(monkeypatch, capsys):
    """``vhm card`` in this process, which has fairseq; returns the one line of its error, if it failed."""

    def run(*arguments, fails: bool = False) -> str:
        monkeypatch.setattr(sys, "argv", ["vhm", "card", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        assert (ended.value.code, bool(printed.out)) == ((1, False) if fails else (0, True)), printed.err
        return only_error(printed.err) if fails else ""

    return run


def block_of(body: str, kind: str = "yaml") -> str:
    return re.search(rf"```{kind}\n(.*?)```", body, re.DOTALL)[1]


@pytest.fixture
def refusal(vhm_card):
    return partial(vhm_card, fails=True)


def only_error(stderr: str) -> str:
    (line,) = stderr.splitlines()
    assert line.startswith("vhm: error: ")
    return line


def test_a_users_mistake_is_one_line(forked, tmp_path):
    process = forked("vhm", "card", tmp_path / "absent.pt", fails=True)
    assert process.returncode == 1 and not process.stdout
    assert "no such file" in only_error(process.stderr)


def test_the_metadata_is_what_the_hub_reads(made):
    front, body = parts(made[0])
    assert {front["license"], front["library_name"]} == {"cc-by-4.0", "fairseq"}
    assert front["language"] == ["en", "zh"]
    assert "vhm_transformer_tiny" in front["tags"]
    assert body.strip().startswith("# VHM\n")
    hub = pytest.importorskip("huggingface_hub")
    results = hub.ModelCard.load(made[0] / "README.md").data.eval_results
    assert [one.metric_value for one in results] == [ROUGE["f"], 12.5]


def test_scores_and_signatures_are_those_of_the_file(made):
    front, body = parts(made[0])
    (result,) = front["model-index"][0]["results"]
    found = {one["type"]: (one["value"], one["args"]["signature"]) for one in result["metrics"]}
    assert found == {
        name: (parts.get("f", parts.get("value")), SCORES["signature"][name])
        for name, parts in SCORES["metric"].items()
    }
    assert result["dataset"]["name"] == "DATA"
    for name, text in SCORES["signature"].items():
        assert f"\n{name}: {text}\n" in body
    assert all(str(figure) in body for figure in (*ROUGE.values(), 12.5, "13 outputs"))


def test_settings_are_those_given_in_training(made, trained):
    _, body = parts(made[0])
    assert yaml.safe_load(block_of(body)) == made[1]["settings"]
    assert made[1]["settings"] == {
        "encoder_embed_dim": 32,
        "label_smoothing": 0.1,
        "kl_anneal_steps": 60,
        "max_update": 60,
        "clip_norm": 1.0,
        "lr": [0.003],
        "max_tokens": 240,
    }
    best = read(trained / "checkpoint_last.pt")["extra_state"]["best"]
    assert f"{best:g} (`loss`)" in body and "- updates: 60\n" in body and "- seed: 3\n" in body


def test_no_path_of_the_machine_is_written(made, trained, toy_data, scores):
    texts = [(made[0] / name).read_text(encoding="utf-8") for name in FILES] + [json.dumps(made[1])]
    for path in (trained, toy_data, scores, made[0]):
        assert not any(str(path.parent) in text or path.parent.name in text for text in texts)
    assert {path.name for path in made[0].iterdir()} == FILES


def test_the_citation_file_has_what_its_format_requires(made):
    found = citation(made[0])
    assert found["cff-version"] == "1.2.0" and found["type"] == "software"
    assert {"message", "title", "authors"} <= found.keys() and found["authors"]
    for one in [found["preferred-citation"], *found["references"]]:
        assert {"type", "title", "authors"} <= one.keys()
        assert all(author["family-names"] and author["given-names"] for author in one["authors"])
    assert found["preferred-citation"]["doi"] == VHM_DOI
    assert [one["doi"] for one in found["references"]] == [VHM_DOI]


def test_the_commands_of_the_card_decode(made, trained, toy_data, forked, tmp_path):
    shutil.copy(trained / "checkpoint_last.pt", tmp_path)
    (tmp_path / "DATA").symlink_to(toy_data)
    plugin = PLUGIN[1]
    (tmp_path / plugin).symlink_to(many.__file__.rpartition("/tests/")[0] + f"/{plugin}")
    block = block_of(parts(made[0])[1], "bash")
    generate, interactive = block.replace("\\\n", " ").splitlines()
    for line, source in ((generate, None), (interactive, "en1 en2\n")):
        command, *arguments = re.split(r" [<>] ", line)[0].split()
        done = forked(command, *arguments, "--cpu", "--max-len-b", 3, cwd=tmp_path, stdin=source)
        assert "\nH-0\t" in f"\n{done.stdout}"


def test_an_ablation_is_named_and_paths_are_cut(vhm_card, small, tmp_path):
    checkpoint = small(latents="ms,cls", init_from="/home/someone/secret/mbart.pt", data="/srv/corpora/ncls")
    vhm_card(checkpoint)
    _, body = parts(tmp_path / "run")
    assert "row 1 of Table 5 (w/o z\\_mt)" in body and "`z_cls` depends on `z_ms`" in body
    assert 'init_from: "mbart.pt"' in body and "fairseq-generate ncls " in body
    assert "someone" not in body and "corpora" not in body
    assert "Its languages are not known here." in body and "None were given." in body
    assert "none is recorded" in body


@pytest.mark.parametrize("form", FORMS)
def test_an_old_checkpoint_of_every_form_has_a_card_with_its_models_parameters(vhm_card, tmp_path, form):
    """The lexicon of ATS is in the checkpoint and is none of them."""
    overrides = {"data": str(data_of(form))}
    (model,), *_ = checkpoint_utils.load_model_ensemble_and_task([str(HERE / f"{form}.pt")], overrides)
    vhm_card(HERE / f"{form}.pt", "--data", data_of(form), "--out", tmp_path)
    front, body = parts(tmp_path)
    counted = sum(parameter.numel() for parameter in model.parameters())
    assert f", {counted:,} parameters\n" in body and "- updates: 3\n- seed: 7\n" in body
    assert set(front["language"]) == {"en", "zh"} | ({"fr"} if form == "many" else set())
    assert ("vhm" in front["tags"]) == bool(model.latent_sizes)
    settings = yaml.safe_load(block_of(body))
    assert settings["max_update"] == 3 and settings["lr"] == [0.01] and settings["dropout"] == 0


@pytest.mark.parametrize("form", FOLLOWED)
def test_a_model_cites_the_papers_of_its_own_system(vhm_card, tmp_path, form):
    vhm_card(HERE / f"{form}.pt", "--data", data_of(form), "--out", tmp_path)
    found, body = citation(tmp_path), parts(tmp_path)[1]
    assert found["preferred-citation"] == found["references"][0]
    assert [one["doi"] for one in found["references"]] == FOLLOWED[form]
    assert re.findall(r"^  doi = \{(.*)\}", body, re.M) == FOLLOWED[form]
    sentence = re.search("^The model follows (.*)", body, re.M)[1]
    assert re.findall(r"\[(10\.\S+)\]", sentence) == FOLLOWED[form]


def rows_of_table_4() -> dict[str, tuple[str, str]]:
    """Configuration -> family name and year of the source that ``examples/README.md`` names, else VHM's."""
    text = (REPOSITORY / "examples" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `table4/(\w+)`( with `scales/mbart.yaml`)?.*? \| (.*?) \|", text, re.M)
    named = {name + "+mbart" * bool(scale): SOURCE.search(system) for name, scale, system in rows}
    return {name: source.groups() if source else ("Liang", "2022") for name, source in named.items()}


@pytest.mark.parametrize("row", rows_of_table_4())
def test_the_source_of_each_row_is_the_one_that_the_systems_page_names(vhm_card, small, tmp_path, row):
    name, _, scale = row.partition("+")
    configuration = yaml.safe_load((REPOSITORY / f"examples/table4/{name}.yaml").read_text(encoding="utf-8"))
    stages = configuration.get("stages", [{}])
    flags = {**configuration.get("train", {}), **stages[0].get("train", {})}
    flags |= {"arch": "vhm_mbart_large"} if scale else {}
    vhm_card(small(**{flag.replace("-", "_"): value for flag, value in flags.items()}))
    first = citation(tmp_path / "run")["preferred-citation"]
    assert (first["authors"][0]["family-names"], str(first["year"])) == rows_of_table_4()[row]


def test_settings_in_fairseqs_older_form_make_the_card_of_the_newer(vhm_card, tmp_path):
    cards = []
    for form in ("vhm_transformer", "args_namespace"):
        vhm_card(HERE / f"{form}.pt", "--data", data_of(form), "--out", tmp_path / form)
        cards.append((tmp_path / form / "README.md").read_text(encoding="utf-8").replace(f"{form}.pt", "X"))
    assert cards[0] == cards[1]


def test_a_card_of_mbart_names_only_settings_that_were_given(vhm_card, small, tmp_path):
    """fairseq shares the output layer wherever it shares all embeddings."""
    vhm_card(small(arch="vhm_mbart_large", share_decoder_input_output_embed=True, init_from="a/model.pt"))
    _, body = parts(tmp_path / "run")
    assert "system: VHM + mBART\n" in body
    settings = yaml.safe_load(block_of(body))
    assert settings["init_from"] == "model.pt" and "share_decoder_input_output_embed" not in settings


@pytest.mark.parametrize("kl_normalization", ["released", "sum"])
def test_a_card_says_which_loss_a_model_of_the_released_code_had(vhm_card, small, tmp_path, kl_normalization):
    vhm_card(small(released_code_compat=True, latent_dim=256, kl_normalization=kl_normalization))
    settings = yaml.safe_load(block_of(parts(tmp_path / "run")[1]))
    chosen = ("released_code_compat", "kl_normalization", "latent_dim")
    assert [settings.get(name) for name in chosen] == [True, kl_normalization, None]


def test_a_card_says_how_the_run_and_its_latents_were(vhm_card, small, tmp_path):
    """In 16 bits; with a latent of a plugin's that z_cls is not said to depend on; evaluated on MT."""
    given = {"latents": "topic,cls", "tasks": "mt,ms", "source_lang": "en", "target_lang": "zh"}
    checkpoint = small(**given, fp16=True, data="-x y/").rename(tmp_path / "run" / "-best.pt")
    vhm_card(checkpoint, "--out", tmp_path / "card")
    _, body = parts(tmp_path / "card")
    assert "- latents: `z_cls`, `z_topic`, of 8 dimensions each\n" in body
    assert "- precision: fp16\n" in body
    generate = shlex.split(block_of(body, "bash").splitlines()[0].removesuffix("\\"))
    assert generate[:2] == ["fairseq-generate", "./-x y"]
    assert generate[-6:] == ["--eval-task", "mt", "--source-lang", "en", "--target-lang", "zh"]
    assert "--path ./-best.pt" in body


def test_a_model_of_many_languages_whose_data_are_gone_has_a_card(vhm_card, small, tmp_path):
    """However many pairs it was trained on, which its name lists."""
    pairs = ",".join(f"{source}-{target}" for source in ("en", "fr", "zh") for target in many.LANGUAGES * 5)
    checkpoint = small(latents="none", language_sampling="multistage", pairs=pairs)
    state = read(checkpoint)
    state["cfg"]["task"]["_name"] = "many_to_many_summarization"
    torch.save(state, checkpoint)
    vhm_card(checkpoint, "--name", "CrossSum")
    _, body = parts(tmp_path / "run")
    assert body.strip().startswith("# CrossSum\n") and len(pairs) > 120 and f" {pairs}, multistage\n" in body
    assert "Its languages are not known here." in body


def test_a_checkpoint_that_kept_next_to_no_settings_has_a_card(vhm_card, small, tmp_path):
    checkpoint = small(encoder_layers=[1, {"/srv/a": "/srv/b"}], max_source_positions=None)
    state = read(checkpoint)
    state["cfg"] = {name: state["cfg"][name] for name in ("model", "task")}
    del state["cfg"]["task"]["tasks"], state["cfg"]["model"].tasks, state["cfg"]["model"].seed
    torch.save(state, checkpoint)
    vhm_card(checkpoint)
    _, body = parts(tmp_path / "run")
    assert not any(said in body for said in ("--eval-task", "(learned: ", "Criterion", "seed", "is cut"))
    assert 'encoder_layers: [1, {"a": "b"}]\n' in body


def test_the_manifest_says_pairs_and_segmentation(vhm_card, small, tmp_path):
    data = tmp_path / "prepared"
    (data / "cls").mkdir(parents=True)
    (data / "cls" / "train.en-pt_BR.en.idx").touch()
    (data / "spm.model").touch()
    tasks = {"cls": {"train": {"pairs": 12345}, "test": {"pairs": 7}}, "ms": {"train": {"pairs": 99}}}
    manifest = {"tasks": tasks, "segmentation": {"kind": "sentencepiece", "model": "spm.model"}}
    (data / "manifest.json").write_text(json.dumps(manifest))
    vhm_card(small(), "--data", data, "--out", tmp_path / "card")
    front, body = parts(tmp_path / "card")
    assert (front["language"], front["language_bcp47"]) == (["en", "pt"], ["en", "pt-BR"])
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in re.findall(r"^\|.*", body, re.M)]
    assert rows[0] == ["task", "train", "test"] and rows[2:] == [["cls", "12,345", "7"], ["ms", "99", ""]]
    assert "--sentencepiece-model prepared/spm.model" in body


@pytest.mark.parametrize(
    ("latents", "dois"),
    [("none", [CROSSSUM_DOI]), ("mt,ms,cls", [VHM_DOI, CROSSSUM_DOI])],
)
def test_a_model_of_many_languages_cites_crosssum(forked, vhm_card, tmp_path, latents, dois):
    data = many.write_toy_corpus(tmp_path / "M2M")
    flags = ["--task", "many_to_many_summarization", "--arch", "vhm_transformer_tiny", "--min-pair-size", 1]
    flags += ["--save-dir", tmp_path / "run", "--max-update", 1, "--max-tokens", 400, "--latents", latents]
    flags += ["--criterion", "elbo", "--tasks", "cls" if latents == "none" else "cls,mt,ms"]
    forked("fairseq-train", data, *PLUGIN, *SHORT_RUN.split(), *flags)
    vhm_card(tmp_path / "run" / "checkpoint_last.pt", "--name", "M2M: *all* of #1")
    front, body = parts(tmp_path / "run")
    assert front["language"] == list(many.LANGUAGES) and "crosssum" in front["tags"]
    assert body.strip().startswith("# M2M: \\*all\\* of \\#1\n")
    assert all(f"doi = {{{doi}}}" in body for doi in dois) and body.count("doi = ") == len(dois)
    found = citation(tmp_path / "run")
    assert found["preferred-citation"]["doi"] == dois[0]
    assert [one["doi"] for one in found["references"]] == dois
    assert "--task many_to_many_summarization" in body and "`<2en>`" in body


def test_a_card_that_is_there_is_kept_without_force(vhm_card, refusal, small, tmp_path):
    checkpoint = small()
    (tmp_path / "run" / "README.md").write_text("mine")
    assert "--overwrite" in refusal(checkpoint)
    assert not (tmp_path / "run" / "CITATION.cff").exists()
    assert (tmp_path / "run" / "README.md").read_text() == "mine"
    vhm_card(checkpoint, "--overwrite")
    assert parts(tmp_path / "run")[0]["library_name"] == "fairseq"


@pytest.mark.parametrize("name", ["a\nb", "a`b", "a|b", "<script>", "/home/x/model", " a", "", "\u202eabc"])
def test_a_hostile_name_is_refused(refusal, small, tmp_path, name):
    assert "--name" in refusal(small(), "--name", name, "--out", tmp_path / "card")
    assert not (tmp_path / "card").exists()


@pytest.mark.parametrize(
    "settings", [{"data": "x/a`b"}, {"data": "a\n---\nb"}, {"latents": "mt|\n# x"}, {"source_lang": "e|n"}]
)
def test_hostile_settings_are_refused(refusal, small, tmp_path, settings):
    checkpoint = small(**{"target_lang": "zh", **settings})
    refusal(checkpoint, "--out", tmp_path / "card")
    assert not (tmp_path / "card").exists()


def test_hostile_values_of_settings_stay_in_their_block(vhm_card, small, tmp_path):
    vhm_card(small(init_allow="x\n```\n# y"), "--out", tmp_path / "card")
    block = re.search(r"```yaml\n(.*?)```\n\n## Training", parts(tmp_path / "card")[1], re.DOTALL)[1]
    assert yaml.safe_load(block)["init_allow"] == "x\n```\n# y"


@pytest.mark.parametrize("name", ["a\nb.pt", "a`b.pt", "a|b.pt"])
def test_a_hostile_file_name_is_refused(refusal, small, tmp_path, name):
    path = small().rename(tmp_path / name)
    refusal(path, "--out", tmp_path / "card")
    assert not (tmp_path / "card").exists()


@pytest.mark.parametrize("license_name", ["MIT license", "a\nb", "../x", "", "{a: b}"])
def test_a_license_is_a_name_of_the_hubs(refusal, small, tmp_path, license_name):
    flags = ("--license", license_name, "--out", tmp_path / "card")
    assert "--license" in refusal(small(), *flags)
    assert not (tmp_path / "card").exists()


def spoil(kind: str, checkpoint):
    """A file that is no checkpoint of the plugin's."""
    path = checkpoint.with_name("spoilt.pt")
    if kind == "cut":
        path.write_bytes(checkpoint.read_bytes()[:500])
    elif kind in ("text", "empty"):
        path.write_text("no checkpoint\n" if kind == "text" else "")
    elif kind == "folder":
        path.mkdir()
    elif kind != "missing":
        state = read(checkpoint)
        others = {"no model": {"model": [1]}, "no settings": {"cfg": None}, "other task": {}, "other": {}}
        state |= others[kind]
        if kind == "other task":
            state["cfg"]["task"]["_name"] = "translation"
        torch.save({"a": 1} if kind == "other" else state, path)
    return path


@pytest.mark.parametrize(
    "kind",
    ["missing", "cut", "text", "empty", "folder", "no model", "no settings", "other task", "other"],
)
def test_what_is_no_checkpoint_is_refused(refusal, small, tmp_path, kind):
    path = spoil(kind, small())
    assert str(path) in refusal(path, "--out", tmp_path / "card")
    assert not (tmp_path / "card").exists()


@pytest.mark.parametrize(
    "content",
    [
        None,
        "{",
        "[]",
        "[" * 5000,
        {"metric": {}, "signature": {}},
        {**SCORES, "signature": {"rouge1": "x"}},
        {**SCORES, "metric": {"rouge1": ROUGE, "bleu": {"value": float("nan")}}},
        {**SCORES, "metric": {"rouge1": ROUGE, "bleu": {"value": "12"}}},
        {**SCORES, "signature": {"rouge1": "a\n```", "bleu": "x"}},
        {**SCORES, "signature": {"rouge1": "lid:/home/someone/lid.bin", "bleu": "x"}},
        {"metric": {"a|b": {"value": 1}}, "signature": {"a|b": "x"}},
        {**SCORES, "source": "en\n", "target": "zh"},
    ],
)
def test_what_is_no_scores_is_refused(refusal, small, tmp_path, content):
    path = tmp_path / "odd.json"
    if content is not None:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    assert "odd.json" in refusal(small(), "--scores", path, "--out", tmp_path / "card")
    assert not (tmp_path / "card").exists()


def test_scores_of_several_files_and_pairs_stay_apart(vhm_card, small, tmp_path):
    files = [write_scores(tmp_path / f"scores.{name}.json", rouge1=10.5) for name in ("mean", "draws")]
    pair = {**json.loads(files[0].read_text()), "source": "en", "target": "zh"}
    (tmp_path / "scores.en-zh.json").write_text(json.dumps(pair))
    given = [flag for path in (*files, tmp_path / "scores.en-zh.json") for flag in ("--scores", path)]
    vhm_card(small(), *given)
    results = parts(tmp_path / "run")[0]["model-index"][0]["results"]
    names = [one["dataset"]["name"] for one in results]
    assert names == ["DATA (scores.mean.json)", "DATA (scores.draws.json)", "DATA en-zh"]


def test_an_architecture_of_another_version_is_refused(refusal, small, tmp_path):
    assert "'vhm_of_old' is unknown" in refusal(small(arch="vhm_of_old"), "--out", tmp_path / "card")


def test_a_destination_that_cannot_be_is_refused(refusal, small, tmp_path):
    checkpoint = small()
    assert "control characters" in refusal(checkpoint, "--out", tmp_path / "a\nb")
    (tmp_path / "has" / "README.md").mkdir(parents=True)
    assert "README.md: is a folder" in refusal(checkpoint, "--out", tmp_path / "has", "--overwrite")
    assert "--out" in refusal(checkpoint, "--out", checkpoint)
    assert "create it first" in refusal(checkpoint, "--out", tmp_path / "a" / "b")
    assert "--data" in refusal(checkpoint, "--data", tmp_path / "absent")
