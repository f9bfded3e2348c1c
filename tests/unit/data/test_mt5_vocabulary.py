"""mT5's vocabulary as a fairseq dictionary: ids against SentencePiece's own and HuggingFace's tokenizer."""

import json
import pickle
import shutil

import mt5
import pytest
import sentencepiece
from fairseq.data import Dictionary
from transformers import AutoTokenizer

from fairseq_vhm.data.dictionaries import MT5Dictionary, read_dictionary
from fairseq_vhm.data.languages import Languages, MarkedDictionary, TargetLanguages
from fairseq_vhm.data.mt5_vocabulary import write_dictionary
from fairseq_vhm.errors import UserError
from fairseq_vhm.language_codes import XLSUM
from fairseq_vhm.names import TASKS, start_symbol, task_tag
from fairseq_vhm.text.start_tokens import LANGUAGES, TAG_TOKENS, TOKENS, start_tokens, with_map
from fairseq_vhm.text.subword import SubwordSegmenter

KNOWN = ["the river crossed the market.", "  two  blanks ", "河水淹没村庄。", "a storm 河水"]
UNKNOWN = ["snow ☃ fell", "Ωmega", "é", "tab\there", "a </s> b <pad>", "\u3000wide\u2028blanks\u00a0"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An mT5 in HuggingFace's form, and the dictionary made of it."""
    folder = tmp_path_factory.mktemp("mt5")
    rows = mt5.train_spm(folder / "spiece.model") + mt5.SPARE
    (folder / "config.json").write_text(json.dumps(mt5.make_config(rows)), encoding="utf-8")
    assert write_dictionary(folder, folder / "dict.txt") == rows
    return folder


@pytest.fixture(scope="module")
def processor(folder):
    return sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model"))


@pytest.fixture
def dictionary(folder) -> MT5Dictionary:
    dictionary = read_dictionary(folder / "dict.txt")
    dictionary.mark(None)
    return dictionary


def ids_of(dictionary, folder, text: str) -> list[int]:
    """As texts are binarised: SentencePiece's symbols, found in the dictionary, and EOS."""
    symbols = SubwordSegmenter(folder / "spiece.model").encode(text, "en")
    return dictionary.encode_line(symbols, add_if_not_exist=False).tolist()


def test_there_is_no_room_for_the_tag_of_a_further_task(folder, monkeypatch):
    monkeypatch.setitem(TASKS, "titles", "titles of articles")
    with pytest.raises(UserError, match="no room for a task beside cls, mt, ms: drop the plugin"):
        read_dictionary(folder / "dict.txt").mark(None)


def test_a_dictionary_that_lacks_the_token_of_a_tag_is_no_whole_vocabulary(folder, tmp_path):
    lines = (folder / "dict.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    lines = [line for line in lines if not line.startswith(f"{TAG_TOKENS[0]} ")]
    (tmp_path / "dict.txt").write_text("".join(lines), encoding="utf-8")
    with pytest.raises(UserError, match=f"DATA's dictionary has no '{TAG_TOKENS[0]}'"):
        read_dictionary(tmp_path / "dict.txt").mark(None)


# ---- ids ---------------------------------------------------------------------------------------


def test_each_piece_has_sentencepiece_s_id_both_ways(dictionary, processor):
    for number in range(processor.get_piece_size()):
        assert dictionary.index(processor.id_to_piece(number)) == number
        assert dictionary[number] == processor.id_to_piece(number)


def test_special_symbols_have_mt5_s_ids(dictionary, processor):
    theirs = (processor.pad_id(), processor.eos_id(), processor.unk_id())
    assert (dictionary.pad(), dictionary.eos(), dictionary.unk()) == theirs == (0, 1, 2)


@pytest.mark.parametrize("text", [*KNOWN, *UNKNOWN])
def test_a_text_has_the_ids_of_sentencepiece(dictionary, folder, processor, text):
    assert ids_of(dictionary, folder, text) == [*processor.encode(text), processor.eos_id()]


@pytest.mark.parametrize("text", KNOWN)
def test_a_text_has_the_ids_of_huggingface_s_tokenizer(dictionary, folder, text):
    assert ids_of(dictionary, folder, text) == AutoTokenizer.from_pretrained(folder)(text).input_ids


def test_a_character_beyond_the_vocabulary_is_spelt_in_bytes_and_comes_back(dictionary, folder):
    ids = ids_of(dictionary, folder, "snow ☃ fell")
    assert dictionary.unk() not in ids
    assert "☃" not in dictionary.symbols
    assert dictionary.string(ids, "sentencepiece") == "snow ☃ fell"
    assert "<0xE2> <0x98> <0x83>" in dictionary.string(ids)


def test_the_segmenter_gives_such_texts_back_too(folder):
    segmenter = SubwordSegmenter(folder / "spiece.model")
    assert segmenter.decode(segmenter.encode("snow ☃ fell, Ωmega", "en"), "en") == "snow ☃ fell, Ωmega"


def test_bytes_that_spell_no_character_are_shown_as_broken(dictionary):
    ids = [dictionary.index("<0xE2>"), dictionary.index("the")]
    assert dictionary.string(ids, "sentencepiece") == "\ufffdthe"


def test_rows_behind_the_last_piece_are_there_and_no_text_has_them(dictionary, folder, processor):
    pieces = processor.get_piece_size()
    assert len(dictionary) == pieces + mt5.SPARE
    assert len(set(dictionary.symbols)) == len(dictionary)
    assert max(max(ids_of(dictionary, folder, text)) for text in mt5.texts(3, 200)) < pieces


# ---- the file ----------------------------------------------------------------------------------


def test_fairseq_s_own_reader_refuses_the_file(folder):
    with pytest.raises(RuntimeError, match="Duplicate word found .* '<pad>'"):
        Dictionary.load(str(folder / "dict.txt"))


def test_a_saved_and_a_pickled_dictionary_have_the_same_ids(dictionary, folder, tmp_path):
    dictionary.save(str(tmp_path / "dict.txt"))
    assert (tmp_path / "dict.txt").read_bytes() == (folder / "dict.txt").read_bytes()
    copy = pickle.loads(pickle.dumps(dictionary))
    assert copy == dictionary and (copy.pad(), copy.eos(), copy.unk()) == (0, 1, 2)


def test_a_dictionary_of_fairseq_s_is_read_as_ever(tmp_path):
    mt5.plain_dictionary(["a", "b"]).save(str(tmp_path / "dict.txt"))
    dictionary = read_dictionary(tmp_path / "dict.txt")
    assert type(dictionary) is MarkedDictionary
    assert dictionary == Dictionary.load(str(tmp_path / "dict.txt"))


# ---- marks -------------------------------------------------------------------------------------


def test_marks_take_no_rows_and_are_tokens_that_no_text_has(folder):
    dictionary = read_dictionary(folder / "dict.txt")
    rows = len(dictionary)
    dictionary.mark(TargetLanguages(("en", "zh-CN", "de")))
    dictionary.mark(TargetLanguages(("en", "zh-CN", "de")))
    marks = [*map(task_tag, TASKS), *map(start_symbol, ("en", "zh-CN", "de"))]
    ids = {dictionary.index(mark) for mark in marks}
    assert len(ids) == len(marks) and dictionary.unk() not in ids
    assert len(dictionary) == dictionary.text_symbols == rows
    assert all(dictionary[i] in {*TOKENS, *TAG_TOKENS} for i in ids)


def test_languages_of_mbart_and_unknown_ones_are_refused(dictionary):
    with pytest.raises(UserError, match="--langs and --pretraining-tasks need symbols"):
        dictionary.mark(Languages(("en_XX",)))
    with pytest.raises(UserError, match="'tlh': mT5 was not pre-trained on it"):
        dictionary.mark(TargetLanguages(("en", "tlh")))


# ---- start tokens ------------------------------------------------------------------------------


def test_each_language_has_a_start_token_of_its_own_apart_from_tags(dictionary):
    starts = start_tokens(with_map({}))
    assert set(XLSUM.values()) <= set(starts) == set(LANGUAGES)
    assert len(set(starts.values())) == len(starts) == 109
    assert not set(starts.values()) & set(TAG_TOKENS)
    assert all(token in dictionary for token in starts.values())


def test_no_text_is_ever_encoded_with_a_start_token(folder, dictionary):
    """Control characters go in mT5's normalisation, and sentinels are written by nobody."""
    starts = {dictionary.index(token) for token in TOKENS}
    every = ["".join(map(chr, range(start, start + 256))) for start in range(0, 0x3000, 256)]
    assert not starts & {i for text in every for i in ids_of(dictionary, folder, text)}


def test_a_published_map_wins_and_is_read_by_codes():
    """The form of csebuetnlp/mT5_m2m_crossSum: XL-Sum's name -> number and token."""
    published = {"english": [0, "▁<extra_id_69>"], "chinese_simplified": [1, "▁<extra_id_59>"]}
    config = {"task_specific_params": {"langid_map": published, "other": 1}}
    assert with_map(config) == config
    assert start_tokens(config) == {"en": "▁<extra_id_69>", "zh-CN": "▁<extra_id_59>"}


@pytest.mark.parametrize("named", [{"en": "x"}, {"en": ["x"]}, ["en"], 1, None])
def test_a_map_of_another_form_is_refused(named):
    with pytest.raises(UserError, match="task_specific_params.langid_map is not of the form"):
        start_tokens({"task_specific_params": {"langid_map": named}})


# ---- refusals ----------------------------------------------------------------------------------


def broken(folder, tmp_path, **config):
    shutil.copytree(folder, tmp_path / "broken")
    path = tmp_path / "broken" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config), encoding="utf-8")
    return tmp_path / "broken"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "bart"}, "of a model of type bart, not mt5"),
        ({"vocab_size": None}, "not mt5"),
        ({"vocab_size": 100}, "different ones, for 100 rows of embeddings"),
        ({"pad_token_id": 3}, "pad_token_id and eos_token_id are not 0 and 1"),
    ],
)
def test_a_config_of_another_model_is_refused(folder, tmp_path, config, message):
    with pytest.raises(UserError, match=message):
        write_dictionary(broken(folder, tmp_path, **config), tmp_path / "dict.txt")
    assert not (tmp_path / "dict.txt").exists()


def test_a_folder_without_its_files_is_refused(folder, tmp_path):
    with pytest.raises(UserError, match=r"--mt5 .*: no config.json"):
        write_dictionary(tmp_path, tmp_path / "dict.txt")
    shutil.copy(folder / "config.json", tmp_path)
    with pytest.raises(UserError, match="spiece.model: no such SentencePiece model"):
        write_dictionary(tmp_path, tmp_path / "dict.txt")


def test_a_vocabulary_without_sentinels_is_refused(folder, tmp_path):
    broken(folder, tmp_path)
    mt5.train_spm(tmp_path / "broken" / "spiece.model", sentinels=0)
    with pytest.raises(UserError, match="not mT5's vocabulary"):
        write_dictionary(tmp_path / "broken", tmp_path / "dict.txt")
