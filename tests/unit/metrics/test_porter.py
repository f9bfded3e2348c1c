"""The stemmer against Porter's paper, and against the stemmer inside ROUGE-1.5.5.pl itself."""

import subprocess
from itertools import product

import pytest

from fairseq_vhm.metrics.porter import Rouge155Stemmer

# Runs the `stem` of the installed script, cut out of it at run time, on each line of the input.
STEM_BY_PERL = r"""
open(my $script, '<', shift) or die;
my $code = join('', <$script>);
$code =~ s/.*(?=^local %step2list)//ms or die;
eval "$code; 1" or die $@;
initialise();
while (<STDIN>) { chomp; print stem($_), "\n"; }
"""

STEMS = """
    a ab agre appl argu at bab bl by cabl care cement comm condit control day dens fals fe gener hap
    hiz hop ill iron lat mot nation oper pl plast pron rat rel repl roll say sens serv sk sly tan tro
    try ugl vall vietnam vis yell yes yoy zz 2000 covid19
"""
ENDINGS = """
    s es ss sses ies ed eed ing ated bled ized ll lls y ational tional enci anci izer bli alli entli
    eli ousli ization ation ator alism iveness fulness ousness aliti iviti biliti logi icate ative
    alize iciti ical ful ness al ance ence er ic able ible ant ement ment ent ion sion tion ou ism
    ate iti ous ive ize e ee emently ementment entment mentent
"""


@pytest.mark.parametrize(
    ("word", "stem"),
    # The examples of Porter (1980), each with the steps that follow the one it stands for.
    [
        ("caresses", "caress"),
        ("ponies", "poni"),
        ("feed", "feed"),
        ("plastered", "plaster"),
        ("hopping", "hop"),
        ("falling", "fall"),
        ("filing", "file"),
        ("happy", "happi"),
        ("sky", "sky"),
        ("relational", "relat"),
        ("vietnamization", "vietnam"),
        ("triplicate", "triplic"),
        ("replacement", "replac"),
        ("adoption", "adopt"),
        ("rate", "rate"),
        ("controll", "control"),
        ("roll", "roll"),
    ],
)
def test_stems_are_those_of_porters_paper(word, stem):
    assert Rouge155Stemmer().stem(word) == stem


def test_step_four_goes_on_where_the_published_algorithm_stops():
    # ROUGE-1.5.5.pl stems both to "elem"; Porter (1980) and NLTK stop at "element".
    stemmer = Rouge155Stemmer()
    assert stemmer.stem("elements") == stemmer.stem("elemental") == "elem"


def test_every_stem_is_that_of_the_perl_script(perl_script):
    stems, endings = STEMS.split(), ENDINGS.split()
    words = ["".join(parts) for parts in product(stems, endings)]
    words += ["".join(parts) for parts in product(stems[::4], endings, endings)]
    words = [word for word in dict.fromkeys(words) if len(word) > 3]
    done = subprocess.run(
        ["perl", "-e", STEM_BY_PERL, str(perl_script)],
        input="\n".join(words) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    stemmer = Rouge155Stemmer()
    differing = {
        word: (stemmer.stem(word), perl)
        for word, perl in zip(words, done.stdout.split("\n"), strict=False)
        if stemmer.stem(word) != perl
    }
    assert not differing
