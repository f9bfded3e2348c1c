"""Figures that others have published, to stand beside one's own; each with where it is from.

ROUGE-1/2/L F1 on the 3,000 documents of each NCLS test set (Zhu et al., EMNLP 2019), as the outputs
in the repository ZNLP/ATSum (folder ``resultofpaper``) were published and give it with reference and
output exchanged (``--swap-roles``); VHM + mBART from the repository XL2248/VHM, in the normal order.
"""

DIRECTIONS = {
    "zh2en": {
        "TNCLS": (38.85, 21.93, 35.05),
        "MS-CLS": (40.34, 22.65, 36.39),
        "VHM + mBART": (43.97, 25.61, 39.19),
    },
    "en2zh": {
        "MT-CLS": (40.23, 22.32, 36.59),
        "ATS-A": (40.47, 22.21, 36.89),
    },
}

SOURCE = (
    "on the NCLS test sets, by Zhu et al. (2019, 2020; ROUGE with roles swapped) and Liang et al. (2022)"
)

SIZE_AND_TIME = (
    "Liang et al. (2022): VHM has 2.50 M parameters more than MT-MS-CLS in both directions, and takes"
    " 27 against 24 and 36 against 32 seconds for 100 batches."
)
