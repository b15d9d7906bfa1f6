"""What can be known of the Pallas kernels without their devices."""

import pytest

from wavegen_kernels import cases
from wavegen_kernels.accelerator import launch, padding, stretches
from wavegen_kernels.bench import targets
from wavegen_kernels.bench.targets import Problem
from wavegen_kernels.generate import pallas_gpu

PROBLEMS = {
    "one": Problem(cases.CASES["reference"], 1),
    "many": Problem(cases.CASES["reference"], 4096),
    "exact": Problem(cases.CASES["reference"], 200, "float32"),
    "big": Problem(cases.CASES["big"], 200),
    "foretold": Problem(cases.CASES["foretold"], 200),
    "one_foretold": Problem(cases.CASES["foretold"], 1),
    "filtered": Problem(cases.CASES["small"], 200, filtered=True, measured=True),
    "one_filtered": Problem(cases.CASES["small"], 1, filtered=True, measured=True),
    "teacher": Problem(cases.CASES["small"], 8, teacher=True),
    "many_taught": Problem(cases.CASES["reference"], 200, teacher=True, hop_length=512),
    "periodic": Problem(cases.CASES["tiny_periodic"], 8, "float32"),
    "steered": Problem(cases.CASES["steered"], 200),
    "one_steered": Problem(cases.CASES["steered"], 1),
    "three_taps": Problem(cases.CASES["tiny_three_taps"], 200),
}
CALLS = {"cuda": "__gpu$xla.gpu.triton", "tpu": "tpu_custom_call"}


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        pytest.param(name, problem, id=f"{name}-{which}")
        for name in targets.TARGETS
        for which, problem in PROBLEMS.items()
        if name != "rtx4090" or which in ("many", "exact")  # else as for an H100
    ],
)
def test_the_kernels_are_lowered_for_their_devices_anywhere(name, problem):
    platform = targets.TARGETS[name].platform
    assert CALLS[platform] in targets.lowered(name, problem).as_text()


@pytest.mark.slow
@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
@pytest.mark.parametrize("name", targets.TARGETS)
def test_the_kernels_are_compiled_where_the_devices_compiler_is(name, problem):
    # Also finds what takes more shared or vector memory than there is.
    assert compiled(name, problem).output_size_in_bytes > 0


@pytest.mark.slow
@pytest.mark.parametrize("frames", [1, 64])
@pytest.mark.parametrize("asked", [{}, {"teacher": True}, {"measured": True, "filtered": True}])
@pytest.mark.parametrize("name", targets.TARGETS)
def test_the_memory_of_a_compiled_call_is_no_more_than_what_is_counted(name, asked, frames):
    problem = Problem(cases.CASES["small"], 256, frames=frames, hop_length=64, **asked)
    memory = compiled(name, problem)
    parts = (memory.argument_size_in_bytes, memory.output_size_in_bytes)
    stack, machine = cases.weights(problem.case), targets.TARGETS[name].backend.MACHINE
    usual = {"filtered": False, "measured": False, "teacher": False}
    plan = launch.plan(stack, 64, **usual | asked)
    given = (stretches.shape(stack), plan, machine.unit, frames, 64, 0)
    counted = 256 * stretches.of_stream(*given).of(frames, 64 * frames)
    counted += padding.num_bytes(padding.net(stack, problem.precision, machine.unit))
    assert memory.temp_size_in_bytes + sum(parts) <= counted


def compiled(name, problem):
    """The memory analysis of a compiled problem; skips where the device's compiler is missing."""
    try:
        targets.topology(name)
    except RuntimeError as error:
        pytest.skip(str(error))
    return targets.compiled(name, problem).memory_analysis()


@pytest.mark.parametrize(
    ("case", "fences"),
    [
        ("reference", 1),  # before the next sample reads what the layers wrote
        ("tiny_periodic", 2),  # and its echo what was drawn
        ("foretold", 3),  # and, in the kernel that fits, every stage the one before
    ],
)
@pytest.mark.parametrize("batch", [1, 200])
def test_a_gpus_threads_wait_for_each_other_where_one_reads_what_another_wrote(
    case, fences, batch, monkeypatch
):
    found, barrier = [], pallas_gpu.triton.debug_barrier
    monkeypatch.setattr(pallas_gpu.triton, "debug_barrier", lambda: found.append(0) or barrier())
    targets.lowered("h100", Problem(cases.CASES[case], batch))
    assert len(found) == fences
