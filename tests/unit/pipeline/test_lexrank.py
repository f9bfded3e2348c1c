"""LexRank through sumy with our sentences and words."""

import itertools
import math
import sys

import pytest

from fairseq_vhm.errors import UserError
from fairseq_vhm.pipeline.documents import Document
from fairseq_vhm.pipeline.lexrank import LexRank

HUB = "Rivers flooded villages."
STAR = ["Rivers sparkle.", "Farmers flooded fields.", HUB, "Villages vote."]
"""The hub shares one word with each other sentence, which share none: it alone has three neighbours."""

CHINESE = "北京今天下大雨。北京的大雨使交通受阻。交通受阻后航班取消。股市周一下跌。"


@pytest.mark.parametrize("order", list(itertools.permutations(STAR))[::5])
def test_the_sentence_that_shares_words_with_all_others_is_taken_wherever_it_stands(order):
    assert LexRank("en", 1)(Document.joined(order, "en")).text == HUB


def test_the_star_is_a_star_by_hand():
    # sumy's idf is log(n / (1 + n_j)); hub: 3 words in 2 of 4 sentences; leaf: one of them, one of its own
    shared, own = math.log(4 / 3), math.log(4 / 2)
    of_leaf = math.hypot(shared, own)
    similarity = shared**2 / (math.sqrt(3) * shared * of_leaf)
    assert similarity > 0.1  # the threshold of an edge; leaves have no common word
    hub = (1 / 4) / 4 + 3 * (1 / 2) / 4  # one step of the power method from a uniform start
    leaf = (1 / 4) / 4 + (1 / 2) / 4
    assert hub > 2 * leaf


def test_several_sentences_stand_in_the_documents_order():
    document = Document.joined([HUB, *STAR[:2], STAR[3]], "en")
    taken = LexRank("en", 3)(document).sentences
    assert len(taken) == 3 and HUB in taken
    assert list(taken) == [s for s in document.sentences if s in taken]


def test_chinese_is_what_sumy_gives_with_its_own_sentences_and_words():
    from sumy.nlp.stemmers import Stemmer
    from sumy.nlp.tokenizers import Tokenizer
    from sumy.parsers.plaintext import PlaintextParser
    from sumy.summarizers.lex_rank import LexRankSummarizer
    from sumy.utils import get_stop_words

    summarizer = LexRankSummarizer(Stemmer("chinese"))
    summarizer.stop_words = get_stop_words("chinese")
    parsed = PlaintextParser.from_string(CHINESE, Tokenizer("chinese")).document
    for count in (1, 2, 3):
        expected = "".join(map(str, summarizer(parsed, count)))
        assert LexRank("zh", count)(Document.of(CHINESE, "zh")).text == expected


@pytest.mark.parametrize("text", ["Aaa bbb. Ccc ddd.", "... ! ?", "The. And. Of.", "Same here. Same here."])
def test_where_no_sentence_resembles_another_the_first_is_taken(text):
    document = Document.of(text, "en")
    assert LexRank("en", 1)(document).text == document.sentences[0]


def test_a_document_of_fewer_sentences_stays_whole():
    document = Document.of("One sentence. Another one.", "en")
    assert LexRank("en", 2)(document) == document
    assert LexRank("en", 1)(Document("", ())) == Document("", ())


def test_a_language_without_blanks_and_without_rules_is_refused():
    with pytest.raises(UserError, match="^--summarizer lexrank: .*words of 'ja'; give .* with --ms"):
        LexRank("ja", 1)


@pytest.mark.parametrize("package", ["sumy", "sentencex"])
def test_a_missing_package_is_named_with_its_remedy(monkeypatch, package):
    for name in [n for n in sys.modules if n.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"{package} .*fairseq-vhm\[pipeline\]"):
        LexRank("en", 1)(Document.of("One. Two.", "en"))


def test_a_language_that_sumy_has_no_stemmer_for_is_served():
    document = Document.of("Bir iki üç. Dört beş altı. İki beş yedi.", "tr")
    assert LexRank("tr", 1)(document).sentences[0] in document.sentences
