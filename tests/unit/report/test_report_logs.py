"""Training logs: curves, time and hardware."""

import pytest
from reports import epoch_line, inner_line, valid_line, write_log

from fairseq_vhm.report.logs import EPOCH, INNER, VALID, is_training_log, parse_line, read_log, read_logs

HEAD = "2026-01-01 00:00:00 | INFO | "
GPU = (
    "fairseq.utils | rank   {}: capabilities =  9.0  ; total memory = 139.720 GB ; "
    "name = NVIDIA H200                             "
)


def write(path, *lines: str):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def updates(log, kind: str) -> list[float]:
    return [point["num_updates"] for point in log.points[kind]]


def test_json_and_simple_lines_say_the_same(tmp_path):
    simple = write(
        tmp_path / "simple",
        f"{HEAD}train_inner | epoch 001:     25 / 505 loss=10.4, kl_cls=3.5, num_updates=25, train_wall=9",
        f"{HEAD}valid | epoch 001 | valid on 'valid' subset | loss 4.1 | au_cls 2 | num_updates 200",
        f"{HEAD}train | epoch 001 | loss 2.5 | num_updates 505 | train_wall 200 | wall 210",
    )
    json = write(
        tmp_path / "json",
        f'{HEAD}train_inner | {{"epoch": 1, "loss": "10.4", "kl_cls": "3.5", "num_updates": "25", '
        '"train_wall": "9"}',
        f'{HEAD}valid | {{"epoch": 1, "valid_loss": "4.1", "valid_au_cls": "2", "valid_num_updates": "200"}}',
        f'{HEAD}train | {{"epoch": 1, "train_loss": "2.5", "train_num_updates": "505", '
        '"train_train_wall": "200", "train_wall": "210"}',
    )
    assert read_log(simple).points == read_log(json).points
    assert read_log(json).points[EPOCH][0]["train_wall"] == 200


def test_a_log_file_without_prefixes_is_read_too(tmp_path):
    lines = [inner_line(25), valid_line(50), epoch_line(1, 50, 20)]
    bare = [line.split(" | ", 3)[3] for line in lines]
    assert read_log(write(tmp_path / "a", *bare)).points == read_log(write(tmp_path / "b", *lines)).points


def test_other_subsets_and_cut_lines_are_passed_over(tmp_path):
    log = read_log(
        write(
            tmp_path / "log",
            f"{HEAD}valid1 | epoch 001 | valid on 'valid1' subset | loss 4.1 | num_updates 200",
            f'{HEAD}valid1 | {{"epoch": 1, "valid1_loss": "4.1", "valid1_num_updates": "200"}}',
            inner_line(25),
            inner_line(50)[:-20],
        )
    )
    assert updates(log, INNER) == [25] and updates(log, VALID) == []


def test_what_a_diverged_run_logs_is_left_out(tmp_path):
    log = read_log(write(tmp_path / "log", inner_line(25, kl_mt=float("nan"), loss=float("inf"))))
    assert not {"kl_mt", "loss"} & set(log.points[INNER][0])
    assert log.series(INNER, "kl_mt") == ([], [])


def test_after_a_resume_the_later_process_wins(tmp_path):
    lines = [inner_line(u) for u in (25, 50, 75, 100)] + [inner_line(u, kl_cls=1) for u in (75, 100, 125)]
    log = read_log(write(tmp_path / "log", *lines))
    assert updates(log, INNER) == [25, 50, 75, 100, 125]
    assert log.series(INNER, "kl_cls")[1][2:] == [1, 1, 1]
    assert log.restarts == [75]


def test_a_run_that_begins_again_forgets_the_first(tmp_path):
    first = [inner_line(u) for u in (25, 50)] + [valid_line(50), epoch_line(1, 50, 30)]
    log = read_log(write(tmp_path / "log", *first, inner_line(25, kl_cls=7)))
    assert updates(log, INNER) == [25] and not log.points[VALID] and not log.points[EPOCH]
    assert log.series(INNER, "kl_cls")[1] == [7]


def test_files_are_joined_in_the_order_of_their_updates(tmp_path):
    later = write(tmp_path / "a.log", inner_line(75), inner_line(100))
    earlier = write(tmp_path / "b.log", inner_line(25), inner_line(50))
    log = read_logs([later, earlier])
    assert updates(log, INNER) == [25, 50, 75, 100] and log.restarts == []


def test_time_is_that_of_epochs_over_their_updates(tmp_path):
    log = read_log(write(tmp_path / "log", epoch_line(1, 400, 100), epoch_line(2, 1000, 340)))
    assert log.timing().seconds == pytest.approx(100 * 340 / 1000 + 100 * 100 / 1000)
    assert log.timing().basis == "training steps of epochs"


def test_an_epoch_whose_begin_is_not_in_the_log_does_not_count(tmp_path):
    log = read_log(write(tmp_path / "log", epoch_line(4, 400, 9999), epoch_line(5, 600, 80)))
    assert log.timing().seconds == pytest.approx(100 * 80 / 200)


def test_before_the_first_epoch_ends_time_is_that_of_intervals(tmp_path):
    log = read_log(write(tmp_path / "log", *(inner_line(u, wall=20) for u in (100, 200, 300))))
    assert log.timing().seconds == 20 and log.timing().basis == "training steps of log intervals"


def test_an_interval_across_a_restart_does_not_count(tmp_path):
    lines = [inner_line(u, wall=20) for u in (100, 200, 300)]
    lines += [inner_line(u, wall=60) for u in (250, 350, 450)]
    log = read_log(write(tmp_path / "log", *lines))
    assert updates(log, INNER) == [100, 200, 250, 350, 450]
    assert log.timing().seconds == pytest.approx(100 * (20 + 60 + 60) / 300)


def test_steps_too_quick_for_whole_seconds_are_timed_by_updates_a_second(tmp_path):
    lines = [inner_line(u, wall=0, ups=ups) for u, ups in ((1, 0.5), (2, 20), (3, 25), (4, 50))]
    log = read_log(write(tmp_path / "log", *lines, epoch_line(1, 4, 1)))
    assert log.timing().seconds == 4 and log.timing().basis == "updates a second"


def test_time_is_from_the_lines_that_rounding_touches_less(tmp_path):
    """A line's seconds are off by up to half a one: 10 intervals of 10 seconds by 5 %, 2 of 50 by 1 %."""
    ten = [inner_line(u, wall=10) for u in range(100, 1101, 100)]
    timing = read_log(write(tmp_path / "a", *ten)).timing()
    assert (timing.seconds, timing.basis) == (10, "training steps of log intervals")
    timing = read_log(write(tmp_path / "b", *ten, epoch_line(1, 1100, 121))).timing()
    assert (timing.seconds, timing.basis) == (pytest.approx(11), "training steps of epochs")
    two = [inner_line(u, wall=50) for u in (100, 600, 1100)]
    epochs = [epoch_line(1, 600, 6), epoch_line(2, 1100, 5)]
    timing = read_log(write(tmp_path / "c", *two[:2], epochs[0], two[2], epochs[1])).timing()
    assert (timing.seconds, timing.basis) == (10, "training steps of log intervals")


def test_a_log_without_updates_has_no_time_and_no_end(tmp_path):
    log = read_log(write(tmp_path / "log", "nothing"))
    assert log.timing() is None and log.updates == 0 and not log.ended


def test_the_last_update_is_that_of_any_line(tmp_path):
    lines = [inner_line(25), valid_line(50), inner_line(75), epoch_line(1, 80, 20)]
    for count, updates in enumerate((25, 50, 75, 80), 1):
        assert read_log(write(tmp_path / "log", *lines[:count])).updates == updates


def test_lines_of_one_update_are_no_restart(tmp_path):
    write_log(tmp_path)
    log = read_log(tmp_path / "train.log")
    assert log.restarts == [] and log.ended and log.updates == 400


def test_parameters_and_gpus_are_those_of_the_last_process(tmp_path):
    size = f"{HEAD}fairseq_cli.train | num. shared model params: {{}} (num. trained: 1)"
    experts = f"{HEAD}fairseq_cli.train | num. expert model params: 0 (num. trained: 0)"
    gpus = [HEAD + GPU.format(rank) for rank in range(3)]
    first, second = ([size.format(n), experts] for n in ("9", "1,234"))
    log = read_log(write(tmp_path / "log", *first, *gpus, inner_line(25), *second, gpus[0]))
    assert log.parameters == 1234 and log.hardware == "1 x NVIDIA H200"


@pytest.mark.parametrize(
    "line", ["of num_updates", 'x | {"num_updates": "many"}', 'x | {"valid_num_updates": null}']
)
def test_a_line_without_a_number_of_updates_has_no_figures(line):
    assert parse_line(line) is None


def test_gpus_are_counted_by_name_and_a_cpu_is_one_where_no_gpu_is_named(tmp_path):
    devices = f"{HEAD}fairseq_cli.train | training on {{}} devices (GPUs/TPUs)"
    gpus = [HEAD + GPU.format(rank) for rank in range(4)]
    assert read_log(write(tmp_path / "a", *gpus, devices.format(4))).hardware == "4 x NVIDIA H200"
    assert read_log(write(tmp_path / "b", devices.format(1))).hardware == "CPU"
    assert read_log(write(tmp_path / "c", "training on 1 devices (GPUs/TPUs)")).hardware is None


def test_a_log_has_ended_only_where_its_last_process_has(tmp_path):
    done = f"{HEAD}fairseq_cli.train | done training in 9.0 seconds"
    assert read_log(write(tmp_path / "a", inner_line(25), done)).ended
    assert not read_log(write(tmp_path / "b", inner_line(25), done, inner_line(50))).ended


def test_a_training_log_is_known_by_what_it_says():
    assert is_training_log(inner_line(25)) and is_training_log(valid_line(50))
    assert is_training_log(f"{HEAD}fairseq_cli.train | {{'common': 1}}")
    assert is_training_log(f"loading\n{inner_line(25)}\nand more")
    assert not is_training_log("H-1\t-0.5\tsome text\n") and not is_training_log("any notes")
