import numpy as np

from wavegen_kernels import cases, weights


def test_operations_of_the_named_shapes_are_those_counted_by_hand():
    counts = {name: cases.CASES[name].multiply_adds for name in ("small", "reference", "big")}
    assert counts == {"small": 281_600, "reference": 864_256, "big": 3_555_328}


def test_weights_have_the_shapes_that_their_case_says():
    case = cases.CASES["tiny_three_taps"]
    stack = cases.weights(case)
    assert stack.embed.shape == (3, 64, 12)
    assert stack.gate.shape == (6, 3, 12, 24)
    assert stack.skip.shape == (6, 12, 10)
    assert stack.head1.shape == (10, 16)
    assert stack.head2.shape == (16, 64)
    assert stack.dilations == (1, 2, 4, 1, 2, 4)
    assert stack.queue_lengths == (2, 4, 8, 2, 4, 8)
    assert {leaf.dtype for leaf in (stack.embed, stack.gate, stack.head2)} == {np.dtype("f4")}


def test_one_seed_gives_one_set_of_weights():
    case = cases.TINY[0]
    np.testing.assert_array_equal(cases.weights(case, 4).gate, cases.weights(case, 4).gate)
    assert (cases.weights(case, 4).gate != cases.weights(case, 5).gate).any()


def test_sampling_starts_with_silence_behind_and_empty_queues():
    stack = cases.weights(cases.CASES["tiny_cycles"])
    state = weights.initial_state(stack, 3)
    assert state.time == 0
    assert (state.codes == 128).all()
    assert state.queues.shape == (9, 3, 8)
    assert not state.queues.any()
