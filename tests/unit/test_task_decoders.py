"""One encoder, a decoder for each task: MS-CLS and MT-CLS of Zhu et al. (2019)."""

import pytest
import torch
from test_parameters import millions
from tiny import make_batch, make_dictionary, make_model

from fairseq_vhm.names import TASKS


def logits(model, batch, **options):
    model.eval()
    with torch.no_grad():
        return model(**batch["net_input"], **options)[0]


def test_each_task_has_its_own_decoder_and_all_have_one_encoder():
    model = make_model(decoders="task", latents="none")
    batches = {task: make_batch(make_dictionary(), task) for task in TASKS}
    before = {task: logits(model, batch) for task, batch in batches.items()}
    with torch.no_grad():
        for parameter in model.decoder.decoders["ms"].layers.parameters():
            parameter += 0.1
    after = {task: logits(model, batch) for task, batch in batches.items()}
    assert [task for task in TASKS if not torch.equal(before[task], after[task])] == ["ms"]
    assert sum(type(module).__name__ == "VHMEncoder" for module in model.modules()) == 1


def test_a_task_decoder_computes_what_a_shared_decoder_of_its_weights_does():
    apart = make_model(decoders="task", latents="mt,ms,cls")
    shared = make_model(decoders="shared", latents="mt,ms,cls", seed=2)
    for task in TASKS:
        own = apart.decoder.decoders[task]
        shared.encoder.load_state_dict(apart.encoder.state_dict())
        missing = shared.decoder.load_state_dict(own.state_dict(), strict=False)
        assert not missing.unexpected_keys
        batch = make_batch(make_dictionary(), task)
        assert torch.equal(logits(apart, batch), logits(shared, batch))


def test_incremental_decoding_equals_the_full_pass_in_every_decoder():
    model = make_model(decoders="task").eval()
    for task in TASKS:
        batch = make_batch(make_dictionary(), task, lengths=((7, 4), (5, 4)))
        full, tokens = logits(model, batch), batch["net_input"]["prev_output_tokens"]
        encoder_out = model.encoder(batch["net_input"]["src_tokens"], task=task)
        state = {}
        for step in range(tokens.size(1)):
            one, _ = model.decoder(
                tokens[:, : step + 1], encoder_out=encoder_out, incremental_state=state
            )
            torch.testing.assert_close(one[:, 0], full[:, step], atol=1e-5, rtol=1e-4)


def test_only_the_trained_tasks_have_decoders():
    model = make_model(decoders="task", latents="none", tasks="cls,ms")
    assert list(model.decoder.decoders) == ["cls", "ms"]


def test_input_embeddings_are_one_table_or_one_for_encoder_and_each_decoder():
    def tables(**flags):
        model = make_model(decoders="task", latents="none", **flags)
        return {id(m.embed_tokens.weight) for m in [model.encoder, *model.decoders]}

    assert len(tables(share_encoder_decoder_embeddings=True)) == 1
    assert len(tables(share_encoder_decoder_embeddings=False)) == 1 + len(TASKS)
    assert len(tables(share_encoder_decoder_embeddings=False, share_all_embeddings=True)) == 1


@pytest.mark.parametrize("tasks", ["cls,ms", "cls,mt", "cls,mt,ms"])
def test_a_further_task_costs_a_decoder_stack_and_an_output_layer(tasks):
    vocabulary, width, ffn, layers = 69_090, 512, 2048, 6
    attention = 4 * width * width + width  # no biases but the output's
    norms = 3 * 2 * width
    stack = layers * (2 * attention + 2 * width * ffn + norms) + 2 * width
    output = vocabulary * (width + 1)
    more = millions(vocabulary, latents="none", decoders="task", tasks=tasks) - millions(
        vocabulary, latents="none"
    )
    assert more * 1e6 == pytest.approx((len(tasks.split(",")) - 1) * (stack + output), abs=1)
