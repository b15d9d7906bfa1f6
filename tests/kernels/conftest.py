"""What the tests of the kernels share."""

import pytest

from tests.conftest import forget_programs
from wavegen_kernels import backends


@pytest.fixture
def interpreted():
    """Where the device of a Pallas kernel is missing, the kernel runs on the CPU."""
    with backends.interpreted():
        yield
    forget_programs()  # those of interpreted kernels are many and large
