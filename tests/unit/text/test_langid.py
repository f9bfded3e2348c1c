"""Languages of texts: codes, a fastText model trained here, py3langid, and what is refused."""

import sys

import fasttext
import numpy as np
import pytest
import tiny_encoders

from fairseq_vhm.errors import UserError
from fairseq_vhm.text.langid import (
    FASTTEXT_HEAD,
    FastTextIdentifier,
    Py3LangidIdentifier,
    language_code,
    readable,
    target_languages,
    varieties,
)

SENTENCES = {
    "en": "The court opened its doors on Monday after a long delay.",
    "zh": "法院周一开庭审理这起案件。",
    "de": "Das Gericht öffnete am Montag nach langer Verzögerung.",
    "fr": "Le tribunal a ouvert ses portes lundi après un long retard.",
    "es": "El tribunal abrió sus puertas el lunes tras un largo retraso.",
    "ru": "Суд открылся в понедельник после долгой задержки.",
    "ar": "افتتحت المحكمة أبوابها يوم الاثنين بعد تأخير طويل.",
    "hi": "अदालत लंबी देरी के बाद सोमवार को खुली।",
    "ja": "裁判所は長い遅れの後、月曜日に開いた。",
    "ko": "법원은 오랜 지연 끝에 월요일에 열렸다.",
    "th": "ศาลเปิดเมื่อวันจันทร์หลังจากล่าช้ามานาน",
    "tr": "Mahkeme uzun bir gecikmenin ardından pazartesi günü açıldı.",
}
TEXTS = ["the court opened", "das gericht wurde", "法 院 今 天", "", "zz 42"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_encoders.language_model(tmp_path_factory.mktemp("lid") / "tiny.bin")


@pytest.fixture(scope="module")
def bundled():
    return Py3LangidIdentifier()


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("zh", "zh"),
        ("zh_CN", "zh"),
        ("zh-TW", "zh"),
        ("zho_Hans", "zh"),
        ("cmn", "zh"),
        ("yue_Hant", "yue"),
        ("en_XX", "en"),
        ("eng_Latn", "en"),
        ("en_sum", "en"),
        ("arb_Arab", "ar"),
        ("pes", "fa"),
        ("swh", "sw"),
        ("nob", "nb"),
        ("sh", "sr"),
        ("iw", "he"),
        ("PT_br", "pt"),
    ],
)
def test_tags_of_every_usual_kind_lead_to_one_code(tag, language):
    assert language_code(tag) == language


@pytest.mark.parametrize("tag", ["", "e", "chinese_simplified", "中文", "12"])
def test_what_is_no_language_code_is_refused(tag):
    with pytest.raises(UserError, match="--lang .*not a language code"):
        language_code(tag)


def test_probabilities_are_fasttexts_own_the_best_first(model):
    library = fasttext.load_model(str(model))
    for text in TEXTS:
        found = FastTextIdentifier(model).probabilities(text)
        labels, figures = library.predict(text, k=-1)
        languages = [label.removeprefix("__label__") for label in labels]
        expected = dict(zip(languages, figures.tolist(), strict=True))
        assert found == pytest.approx(expected, abs=1e-6)
        assert list(found.values()) == sorted(found.values(), reverse=True)
        assert sum(found.values()) == pytest.approx(1, abs=1e-3)


def test_the_tiny_model_knows_its_languages(model):
    identifier = FastTextIdentifier(model)
    assert identifier.languages == {"en", "de", "zh"}
    for language, words in tiny_encoders.LANGUAGES.items():
        assert next(iter(identifier.probabilities(" ".join(words)))) == language


def test_new_lines_and_fairseqs_symbols_do_not_change_a_language(model):
    identifier = FastTextIdentifier(model)
    plain = identifier.probabilities("the court opened")
    assert identifier.probabilities("the\ncourt\r\n\topened\u2028") == plain
    assert identifier.probabilities("<s> the <unk> court opened </s>") == plain
    assert readable("a < b <unk>c\n\nd") == "a < b c d"


def test_labels_with_scripts_are_read_as_their_language_and_added_up(tmp_path):
    names = {"en": "eng_Latn", "zh": "zho_Hans", "de": "zho_Hant"}
    path = tiny_encoders.language_model(tmp_path / "nllb.bin", names)
    identifier = FastTextIdentifier(path)
    assert identifier.languages == {"en", "zh"}
    labels, figures = fasttext.load_model(str(path)).predict("the gericht", k=-1)
    chinese = sum(figure for label, figure in zip(labels, figures, strict=True) if "zho" in label)
    assert identifier.probabilities("the gericht")["zh"] == pytest.approx(chinese, abs=1e-6)


def test_the_label_als_of_fasttext_is_alemannic_not_albanian(tmp_path):
    path = tiny_encoders.language_model(tmp_path / "als.bin", {"en": "als", "de": "als_Latn"})
    assert FastTextIdentifier(path).languages == {"gsw", "sq", "zh"}


def test_the_name_tells_models_apart(model, tmp_path):
    name, _, digest = FastTextIdentifier(model).name.partition("@")
    assert name == "tiny.bin" and len(digest) == 8
    other = tiny_encoders.language_model(tmp_path / "tiny.bin", dim=20)
    assert FastTextIdentifier(other).name != f"{name}@{digest}"


@pytest.mark.parametrize("lang", SENTENCES)
def test_py3langid_knows_a_sentence_of_each_language(bundled, lang):
    assert next(iter(bundled.probabilities(SENTENCES[lang]))) == lang


@pytest.mark.parametrize("text", ["", " \n", "...", "3.5 %", "😀😀", "<unk> <unk>"])
def test_py3langid_says_nothing_of_a_text_that_tells_nothing(bundled, text):
    assert bundled.probabilities(text) == {}


def test_a_language_is_looked_for_under_its_varieties_where_its_own_code_is_not_known(bundled):
    assert target_languages("zh_TW", bundled) == {"zh"}
    assert target_languages("nb", bundled) == {"no", "nn"}
    assert target_languages("tlh", bundled) == frozenset()


def test_varieties_are_mutual_and_leave_other_languages_alone():
    for language in ("zh", "yue", "ar", "hr", "nn", "ms", "en", "fr"):
        assert language in varieties(language)
        assert all(varieties(other) == varieties(language) for other in varieties(language))
    assert varieties("en") == {"en"}


def broken(model, path, kind):
    whole = model.read_bytes()
    match kind:
        case "none":
            return path
        case "folder":
            path.mkdir()
        case "text":
            path.write_text("not a model")
        case "cut":
            path.write_bytes(whole[: len(whole) - 60])
        case "head":
            path.write_bytes(whole[:300])
        case "start":
            path.write_bytes(whole[: FASTTEXT_HEAD.size])
        case "words":
            settings = {"dim": 10, "thread": 10, "epoch": 1, "verbose": 0, "minn": 0, "maxn": 0, "lr": 0.01}
            fasttext.train_unsupervised(str(model.with_suffix(".txt")), **settings).save_model(str(path))
    return path


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("none", "No such file .*lid.176.bin"),
        ("folder", "Is a directory"),
        ("text", "not a fastText model; give .*lid.176.bin"),
        ("cut", "cut short"),
        ("head", "cut short"),
        ("start", "cut short"),
        ("words", "a fastText model of words"),
    ],
)
def test_what_is_no_language_model_is_refused(model, tmp_path, kind, reason):
    with pytest.raises(UserError, match=f"--lid .*model.bin: {reason}") as refused:
        FastTextIdentifier(broken(model, tmp_path / "model.bin", kind))
    assert "\n" not in str(refused.value)


def test_a_compressed_model_is_read_as_the_whole_one(model, tmp_path):
    library = fasttext.load_model(str(model))
    library.quantize()
    library.save_model(str(tmp_path / "tiny.ftz"))
    small = FastTextIdentifier(tmp_path / "tiny.ftz")
    assert next(iter(small.probabilities("the court opened"))) == "en"


@pytest.mark.parametrize(
    ("package", "needed"), [("fasttext", "fasttext-numpy2"), ("py3langid.langid", "py3langid")]
)
def test_a_missing_package_is_named(model, monkeypatch, package, needed):
    monkeypatch.setitem(sys.modules, package, None)
    identifier = FastTextIdentifier(model) if package == "fasttext" else Py3LangidIdentifier()
    with pytest.raises(UserError, match=f"needs the package {needed}.*pip install"):
        identifier.probabilities("a")


def test_a_model_that_fasttext_itself_refuses_is_named(model, tmp_path):
    newer = bytearray(model.read_bytes())
    newer[4:8] = (99).to_bytes(4, "little")  # its version
    (tmp_path / "newer.bin").write_bytes(newer)
    with pytest.raises(UserError, match="--lid .*newer.bin: fastText cannot read it .*wrong file format"):
        FastTextIdentifier(tmp_path / "newer.bin").probabilities("a")


def test_a_binding_that_is_older_than_numpy_2_is_told_from_a_broken_model(model, monkeypatch):
    class OldBinding:
        """As fasttext 0.9.2 returns its figures."""

        def predict(self, text, k):
            return ("__label__en",), np.array([0.5], copy=False)

    monkeypatch.setattr(fasttext, "load_model", lambda path: OldBinding())
    with pytest.raises(UserError, match="fails with numpy 2: .*pip install fasttext-numpy2"):
        FastTextIdentifier(model).probabilities("a")
