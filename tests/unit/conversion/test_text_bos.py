"""--text-bos: BOS behind the tag of a source and in place of the EOS that the decoder starts with."""

import pytest
import torch

from fairseq_vhm.errors import UserError
from fairseq_vhm.names import TASKS, task_tag
from fairseq_vhm.tasks.config import CrossLingualSummarizationConfig
from fairseq_vhm.tasks.cross_lingual_summarization import CrossLingualSummarizationTask


@pytest.fixture
def make_task(toy_data):
    def make(**settings) -> CrossLingualSummarizationTask:
        config = CrossLingualSummarizationConfig(data=str(toy_data), **settings)
        config.seed, config.dataset_impl, config.update_freq = 1, None, [1]
        config.train_subset = "train"
        return CrossLingualSummarizationTask.setup_task(config)

    return make


@pytest.mark.parametrize("kind", TASKS)
def test_sources_have_bos_behind_their_tag_and_the_decoder_starts_with_it(make_task, kind):
    task = make_task(text_bos=True, eval_task=kind)
    task.load_dataset("test", combine=None)
    dictionary, example = task.dictionary, task.datasets["test"][0]
    batch = task.datasets["test"].collater([example])["net_input"]
    tag = dictionary.index(task_tag(kind))
    assert batch["src_tokens"][0, :2].tolist() == [tag, dictionary.bos()]
    assert batch["prev_output_tokens"][0, 0] == dictionary.bos()
    line = torch.tensor([5, 6, dictionary.eos()])
    inference = task.build_dataset_for_inference([line], torch.tensor([3]))
    assert inference[0]["source"].tolist() == [tag, dictionary.bos(), *line.tolist()]
    assert inference.src_sizes[0] == 5


def test_without_the_flag_there_is_no_bos(make_task):
    task = make_task()
    line = torch.tensor([5, 6, task.dictionary.eos()])
    source = task.build_dataset_for_inference([line], torch.tensor([3]))[0]["source"]
    assert task.dictionary.bos() not in source


@pytest.mark.parametrize(
    "other", [{"task_tag": "target"}, {"langs": "en_XX,zh_CN"}, {"pretraining_tasks": "dae"}]
)
def test_what_gives_the_decoder_another_start_is_refused(make_task, other):
    with pytest.raises(UserError, match="^--text-bos goes with none of"):
        make_task(text_bos=True, **other)


def test_the_longest_source_counts_bos(make_task):
    task = make_task(text_bos=True, max_source_positions=4)
    line = torch.tensor([5, 6, 7, 8, task.dictionary.eos()])
    source = task.build_dataset_for_inference([line], torch.tensor([5]))[0]["source"]
    assert source.tolist()[2:] == [5, task.dictionary.eos()]
