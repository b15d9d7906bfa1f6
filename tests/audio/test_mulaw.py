import numpy as np
import pytest

from wavegen.audio import mulaw
from wavegen.errors import WavegenError

SIZES = (4, 5, 16, 255, 256, 1024, 65_536)


@pytest.mark.parametrize("n_codes", SIZES)
def test_decode_then_encode_gives_the_code_back(n_codes):
    codes = np.arange(n_codes)
    np.testing.assert_array_equal(mulaw.encode(mulaw.decode(codes, n_codes), n_codes), codes)


@pytest.mark.parametrize("n_codes", SIZES)
def test_codes_rise_with_the_samples_and_use_the_whole_range(n_codes):
    codes = mulaw.encode(np.linspace(-1, 1, 10_001), n_codes)
    assert codes.dtype == np.int32
    assert (np.diff(codes) >= 0).all()
    assert (codes[0], codes[-1]) == (0, n_codes - 1)


def test_silence_of_256_codes_is_128():
    assert mulaw.silence(256) == 128


def test_samples_beyond_full_scale_are_clipped():
    np.testing.assert_array_equal(mulaw.encode(np.array([-4.0, 4.0]), 256), [0, 255])


def test_samples_without_a_code_are_refused():
    with pytest.raises(WavegenError, match="2 samples are NaN"):
        mulaw.encode(np.array([0.0, np.nan, np.inf]), 256)


@pytest.mark.parametrize("n_codes", [256, 1024])
def test_the_table_of_int16_codes_is_the_encoding_of_every_int16_sample(n_codes):
    values = np.arange(-32768, 32768)
    np.testing.assert_array_equal(mulaw.int16_codes(n_codes), mulaw.encode(values / 32767, n_codes))
    assert mulaw.int16_codes(n_codes).itemsize == (1 if n_codes <= 256 else 2)
