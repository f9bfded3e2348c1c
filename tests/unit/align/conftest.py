"""A tiny sentence encoder, and an alignment of pages whose vectors are given."""

import aligned
import pytest
import tiny_encoders

from fairseq_vhm.align.output import write_index
from fairseq_vhm.align.run import Request, find
from fairseq_vhm.align.settings import Embedding


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    return tiny_encoders.sentence_transformer(tmp_path_factory.mktemp("model") / "labse")


@pytest.fixture
def aligning(model, tmp_path):
    """``aligning(pages, **request)``: a folder with the tables that ``vhm align`` leaves, and its report."""

    def run(pages, name="out", precision="float32", **settings):
        pages = list(pages)
        data, out, cache = (
            aligned.write(tmp_path / f"{name}.data", pages),
            tmp_path / name,
            tmp_path / "cache",
        )
        aligned.plant(pages, model, cache, precision)
        settings["embedding"] = Embedding("cpu", precision=precision)
        report = find(Request((data,), model, out, cache, **settings), aligned.QUIET)
        out.mkdir()
        write_index(out, report.nodes, report.pairs, report.assignment)
        return out, report

    return run
