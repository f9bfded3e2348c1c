"""Models of HuggingFace's form in the pipeline: their outputs are those of the library's own generate."""

import random

import pytest
import tiny_seq2seq as tiny
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from fairseq_vhm.errors import UserError
from fairseq_vhm.pipeline.directions import direct, pick
from fairseq_vhm.pipeline.huggingface import HuggingFaceModel, _surroundings
from fairseq_vhm.pipeline.settings import Search

DRAW = random.Random(3)
TEXTS = [" ".join(DRAW.choices(tiny.WORDS, k=length)) for length in (3, 9, 1, 6, 9, 12, 2)]
SEARCH = {"num_beams": 4, "length_penalty": 0.6, "no_repeat_ngram_size": 2, "max_length": 24}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seq2seq")
    return {
        "m2m": tiny.m2m(folder / "m2m"),
        "mt5": tiny.mt5(folder / "mt5"),
        "mbart": tiny.mbart(folder / "mbart"),
        "marian": tiny.marian(folder / "marian"),
        "many": tiny.marian(folder / "many", ("fra", "cmn_Hans")),
    }


def opened(folder, source="en", target="zh-CN", gen_args='{"max_length": 24}', flag="ms", **search):
    settings = Search(cpu=True, **search).settings_of(flag, str(folder), None, "ms", gen_args=gen_args)
    return HuggingFaceModel(settings, source, target)


def outputs(model, texts=TEXTS):
    return model.generate([model.encode(text) for text in texts])


def loaded(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return tokenizer, AutoModelForSeq2SeqLM.from_pretrained(folder, local_files_only=True).eval()


def by_library(tokenizer, model, drop, texts=TEXTS, **direction):
    """Outputs of ``generate`` for each text alone, without the first ``drop`` tokens."""
    found = []
    for text in texts:
        inputs = tokenizer(text, return_tensors="pt", truncation=True, max_length=64)
        with torch.inference_mode():
            tokens = model.generate(**inputs, **SEARCH, **direction)[0]
        found.append(" ".join(tokenizer.decode(tokens[drop:], skip_special_tokens=True).split()))
    return found


def test_m2m_100_writes_what_generate_writes_with_the_target_forced(folders):
    tokenizer, model = loaded(folders["m2m"])
    tokenizer.src_lang = "fr"
    expected = by_library(tokenizer, model, 2, forced_bos_token_id=tokenizer.get_lang_id("zh"))
    assert outputs(opened(folders["m2m"], "fr", "zh-CN")) == expected
    assert len(set(expected)) > 4


def test_crosssums_mt5_starts_with_the_targets_piece(folders):
    tokenizer, model = loaded(folders["mt5"])
    written = {}
    for code, name in (("en", "english"), ("zh-CN", "chinese_simplified"), ("zh", "chinese_simplified")):
        start = tokenizer.convert_tokens_to_ids(tiny.STARTS[name])
        written[code] = outputs(opened(folders["mt5"], "fr", code))
        assert written[code] == by_library(tokenizer, model, 1, decoder_start_token_id=start)
    assert written["en"] != written["zh"] == written["zh-CN"]


def test_mt5_without_a_map_of_languages_starts_as_its_config_says(tmp_path):
    tokenizer, model = loaded(tiny.mt5(tmp_path / "mt5", task_specific_params=None))
    assert outputs(opened(tmp_path / "mt5", "fr", "fr")) == by_library(tokenizer, model, 1)


def test_mbarts_decoder_starts_with_the_target(folders):
    tokenizer, model = loaded(folders["mbart"])
    tokenizer.src_lang = "fr_XX"
    start = tokenizer.convert_tokens_to_ids("zh_CN")
    assert outputs(opened(folders["mbart"], "fr", "zh")) == by_library(
        tokenizer, model, 1, decoder_start_token_id=start
    )


def test_marian_of_one_pair_needs_no_telling_and_of_several_has_the_targets_mark_before_the_text(folders):
    tokenizer, model = loaded(folders["marian"])
    assert outputs(opened(folders["marian"])) == by_library(tokenizer, model, 1)
    tokenizer, model = loaded(folders["many"])
    marked = [f">>cmn_Hans<< {text}" for text in TEXTS]
    assert outputs(opened(folders["many"], "en", "zh")) == by_library(tokenizer, model, 1, marked)


@pytest.mark.parametrize(
    ("family", "codes"), [("Nllb", ("zho_Hans", "eng_Latn")), ("MBart50", ("zh_CN", "en_XX"))]
)
def test_nllb_and_mbart_50_mark_the_source_and_are_forced_to_begin_with_the_target(family, codes):
    import transformers

    tokenizer = getattr(transformers, f"{family}Tokenizer")()
    direction = direct("--mt m", tokenizer, None, "zh-CN", "en_sum")
    before, after = _surroundings(tokenizer)
    assert tokenizer.convert_ids_to_tokens(before) == [codes[0]]
    assert tokenizer.convert_ids_to_tokens(after) == ["</s>"]
    assert direction.generation == {"forced_bos_token_id": tokenizer.convert_tokens_to_ids(codes[1])}


def test_a_text_is_written_the_same_in_any_batch_and_order(folders):
    whole = outputs(opened(folders["m2m"]))
    assert outputs(opened(folders["m2m"], max_tokens=1)) == whole
    assert outputs(opened(folders["m2m"]), TEXTS[::-1]) == whole[::-1]


def test_batches_hold_at_most_max_tokens_with_their_padding(folders):
    model = opened(folders["m2m"], max_tokens=40)
    inputs = [[0] * length for length in (3, 39, 20, 20, 41, 5, 5)]
    batches = list(model._batches(inputs))
    assert sorted(place for batch in batches for place in batch) == list(range(7))
    assert [len(batch) * max(len(inputs[place]) for place in batch) for batch in batches] == [41, 39, 40, 15]


def test_no_texts_are_no_batches(folders):
    assert outputs(opened(folders["m2m"]), []) == []


def test_the_most_new_tokens_hold_over_the_length_of_the_step(folders):
    one_token = outputs(opened(folders["m2m"], gen_args='{"max_new_tokens": 3}'))
    assert one_token != outputs(opened(folders["m2m"]))
    assert all(len(text.split()) <= 2 for text in one_token)  # the language's mark, and two


@pytest.mark.parametrize("more", ['{"num_return_sequences": 2}', '{"return_dict_in_generate": true}'])
def test_a_search_for_more_than_the_best_text_is_refused(folders, more):
    with pytest.raises(UserError, match="the best text alone is kept; take num_return_sequences"):
        opened(folders["m2m"], gen_args=more)


def test_an_encoder_alone_is_refused(tmp_path):
    from tiny_encoders import bert

    with pytest.raises(UserError, match="is a bert model, which writes no text from another"):
        opened(bert(tmp_path / "bert"))


def test_a_vocabulary_without_the_start_of_a_language_is_refused(tmp_path):
    params = {"langid_map": {"english": [3, "<absent>"]}}
    folder = tiny.mt5(tmp_path / "mt5", task_specific_params=params)
    with pytest.raises(UserError, match="lacks <absent>, with which outputs in en start"):
        opened(folder, "fr", "en")


def test_room_counts_the_languages_mark_and_eos(folders):
    model = opened(folders["m2m"], max_source=10)
    ids = model.encode(" ".join(tiny.WORDS))
    cut = torch.cat([ids[: model.room - 1], ids[-1:]])
    tokenizer, library = loaded(folders["m2m"])
    inputs = tokenizer(" ".join(tiny.WORDS), return_tensors="pt", truncation=True, max_length=10)
    assert [*model._before, *cut[:-1].tolist(), *model._after] == inputs["input_ids"][0].tolist()
    assert opened(folders["m2m"]).room == 63  # 64 positions, of which the language's mark takes one


def test_the_folders_own_settings_of_search_hold_where_nothing_is_said(folders):
    search = opened(folders["m2m"], flag="mt", gen_args='{"min_length": 3}').search
    assert (search.num_beams, search.length_penalty, search.max_length, search.min_length) == (4, 0.6, 200, 3)
    assert search.eos_token_id == 2
    summaries = opened(folders["mt5"], gen_args=None).search
    assert (summaries.max_length, summaries.no_repeat_ngram_size) == (84, 2)


@pytest.mark.parametrize(
    ("wanted", "codes", "found"),
    [
        ("zh-CN", ["zho_Hant", "zho_Hans"], "zho_Hans"),
        ("zh-TW", ["zho_Hans", "zho_Hant"], "zho_Hant"),
        ("en_sum", ["en_XX", "zh_CN"], "en_XX"),
        ("sr-latn", ["hr", "sr"], "sr"),
        ("fa", ["pbt_Arab", "pes_Arab"], "pes_Arab"),
        ("sr-cyrl", ["sr-cyrl", "sr-latn"], "sr-cyrl"),
        ("en_!!", ["en_XX", "zh_CN"], "en_XX"),
    ],
)
def test_a_language_is_found_among_a_models_codes(wanted, codes, found):
    assert pick("--mt m", wanted, codes) == found


@pytest.mark.parametrize(
    ("wanted", "codes"),
    [("uk", ["ru", "en"]), ("zh-TW", ["zh"]), ("pcm", ["en"]), ("e", ["en"]), ("zh cn", ["zh"])],
)
def test_another_language_is_not_taken_for_it(wanted, codes):
    with pytest.raises(UserError, match=f"--mt m: does not know the language {wanted}; it has"):
        pick("--mt m", wanted, codes)


def test_a_language_that_the_model_lacks_is_refused(folders):
    with pytest.raises(UserError, match="does not know the language rn"):
        opened(folders["m2m"], "en", "rn")
    with pytest.raises(UserError, match="does not know the language fr; it has en, zh-CN"):
        opened(folders["mt5"], "en", "fr")
    with pytest.raises(UserError, match="goes from en to zh, but fr to zh is needed"):
        opened(folders["marian"], "fr", "zh")


def test_weights_that_do_not_fill_the_model_are_refused(folders, tmp_path):
    import shutil

    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(folders["m2m"], tmp_path / "m2m")
    weights = load_file(folder / "model.safetensors")
    del weights["model.encoder.layers.0.fc1.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match="its weights lack model.encoder.layers.0.fc1.weight and 0 more"):
        opened(folder)


def test_weights_in_a_pickle_that_would_run_code_are_refused(folders, tmp_path):
    import pickle
    import shutil

    folder = shutil.copytree(folders["m2m"], tmp_path / "m2m")
    (folder / "model.safetensors").unlink()
    torch.save({"x": Touch(str(tmp_path / "ran"))}, folder / "pytorch_model.bin", pickle_module=pickle)
    with pytest.raises(UserError, match="cannot load it"):
        opened(folder)
    assert not (tmp_path / "ran").exists()


class Touch:
    """Unpickled by a careless reader, it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")
