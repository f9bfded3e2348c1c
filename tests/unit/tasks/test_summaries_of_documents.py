"""``--cls-local-target summary``: a CLS pair brings the MS summary of its document, where there is one."""

import tiny

SIZES = {"cls": {"train": 12, "valid": 3}, "mt": {"train": 5, "valid": 3}, "ms": {"train": 8, "valid": 3}}


def test_training_alone_brings_the_summary_of_the_same_document(cross_lingual, tmp_path):
    tiny.write_corpus(tmp_path, SIZES)
    text = tmp_path / "text"
    documents = (text / "cls/train.en").read_text().splitlines()
    (text / "ms/train.en").write_text("".join(f"{line}\n" for line in reversed(documents[:8])))
    summaries = {line: " ".join(line.split()[:3]) for line in documents[:8]}
    (text / "ms/train.en_sum").write_text("".join(f"{summaries[line]}\n" for line in reversed(documents[:8])))
    task = cross_lingual(data=str(tiny.binarise(tmp_path, SIZES)))
    task.summaries_wanted = True
    for split in ("train", "valid"):
        task.load_dataset(split, combine=False)
    pairs = task.datasets["train"].parts["cls"]
    for number, document in enumerate(documents):
        example = pairs[number]
        assert task.dictionary.string(example["source"][1:]) == document
        expected = summaries.get(document) or task.dictionary.string(example["target"])
        assert task.dictionary.string(example["summary"]) == expected
    assert "summary" not in task.datasets["valid"].parts["cls"][0]
