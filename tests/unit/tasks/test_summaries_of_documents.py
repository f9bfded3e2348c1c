"""``--cls-local-target summary``: a CLS pair brings the MS summary of its document, where there is one."""

import pytest
import tiny

SIZES = {"cls": {"train": 12, "valid": 3}, "mt": {"train": 5, "valid": 3}, "ms": {"train": 8, "valid": 2}}


@pytest.fixture
def corpus(tmp_path) -> dict[str, dict[str, str]]:
    """Texts below ``tmp_path``; the MS summaries of a split are those of its first CLS documents."""
    tiny.write_corpus(tmp_path, SIZES)
    summaries = {}
    for split, size in SIZES["ms"].items():
        documents = (tmp_path / f"text/cls/{split}.en").read_text().splitlines()[:size]
        summaries[split] = {line: " ".join(line.split()[:3]) for line in documents}
        for language, texts in (("en", documents), ("en_sum", summaries[split].values())):
            lines = "".join(f"{text}\n" for text in reversed(list(texts)))
            (tmp_path / f"text/ms/{split}.{language}").write_text(lines)
    return summaries


def loaded(cross_lingual, data):
    task = cross_lingual(data=str(data))
    task.summaries_wanted = True
    for split in ("train", "valid"):
        task.load_dataset(split, combine=False)
    return task


@pytest.mark.parametrize("split", ["train", "valid"])
def test_training_and_validation_bring_the_summary_of_the_same_document(
    cross_lingual, corpus, tmp_path, split
):
    task = loaded(cross_lingual, tiny.binarise(tmp_path, SIZES))
    documents = (tmp_path / f"text/cls/{split}.en").read_text().splitlines()
    pairs = task.datasets[split].parts["cls"]
    for number, document in enumerate(documents):
        source, summary = pairs[number]["source"], pairs[number]["summary"]
        assert task.dictionary.string(source[1:]) == document
        assert (None if summary is None else task.dictionary.string(summary)) == corpus[split].get(document)


def test_a_split_that_the_ms_data_lack_is_validated_without_summaries(cross_lingual, corpus, tmp_path):
    data = tiny.binarise(tmp_path, SIZES)
    task = loaded(cross_lingual, data)
    for file in (data / "ms").glob("valid.*"):
        file.unlink()
    task.load_dataset("valid_cls", combine=False)
    pairs = task.datasets["valid_cls"]
    assert "summary" not in pairs.collater([pairs[0], pairs[1]])["net_input"]
