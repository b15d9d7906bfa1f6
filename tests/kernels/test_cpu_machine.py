"""The CPU backend as a whole: same bits in any batch, its machine code, its cache, other CPUs."""

import ast
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numba
import numpy as np
import pytest

from wavegen_kernels import backends, cases, divergence, random, weights
from wavegen_kernels.cpu import loop, machine, packing
from wavegen_kernels.generate import api, numba_cpu, reference

P = 8
KERNELS = Path(__file__).parents[2] / "kernels"
PRECISIONS = [
    pytest.param(
        precision,
        marks=pytest.mark.skipif(
            backends.unavailable_reason("numba_cpu", precision) is not None,
            reason=str(backends.unavailable_reason("numba_cpu", precision)),
        ),
    )
    for precision in backends.PRECISIONS
]
# Mean divergence from the reference, nats: the design's promise for weights of this kind.
DIVERGENCE = {"bfloat16": 1e-4, "int8": 2e-3}


def generate(stack, cond, streams, precision, frames_a_call=None, asked=None):
    B, F = cond.shape[:2]
    state, parts = weights.initial_state(stack, B), []
    for first in range(0, F, frames_a_call or F):
        part = slice(first, first + (frames_a_call or F))
        state, codes = api.generate(
            stack,
            state,
            cond[:, part],
            hop_length=P,
            **jax.tree.map(lambda x, part=part: x[:, part], asked or {}),
            seed=7,
            streams=streams,
            backend="numba_cpu",
            precision=precision,
        )
        parts.append(codes)
    return np.concatenate(parts, axis=1), state


def test_what_may_not_be_written_to_is_not_compiled_for_once_more():
    case = cases.CASES["tiny_steered"]
    stack, cond = cases.weights(case), cases.conditioning(case, 2, 4)
    asked, streams = cases.asked(case, 2, 4), np.arange(2)
    codes, _ = generate(stack, cond, streams, "float32", asked=asked)
    before = len(loop.samples.signatures)
    of_jax = jax.tree.map(jax.numpy.asarray, asked)
    again, _ = generate(stack, cond, streams, "float32", asked=of_jax)
    np.testing.assert_array_equal(again, codes)
    assert len(loop.samples.signatures) == before


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    "name",
    ["tiny_odd", "tiny_three_taps", "tiny_foretold", "tiny_periodic", "tiny_steered", "small"],
)
def test_batches_threads_and_calls_change_no_bit(name, precision, monkeypatch):
    case, streams = cases.CASES[name], np.arange(11)
    stack, cond = cases.weights(case), cases.conditioning(case, 11, 4)
    asked = cases.asked(case, 11, 4)
    whole, state = generate(stack, cond, streams, precision, asked=asked)
    for threads in (1, 2, 5):
        monkeypatch.setattr(numba_cpu, "threads", lambda threads=threads: threads)
        codes, again = generate(stack, cond, streams, precision, asked=asked)
        np.testing.assert_array_equal(codes, whole)
        np.testing.assert_array_equal(again.queues, state.queues)
    for some in ([0], [10], [1, 2, 3, 4], [9, 0, 5, 7, 2]):
        codes, again = generate(stack, cond[some], streams[some], precision, asked=_of(asked, some))
        np.testing.assert_array_equal(codes, whole[some])
        np.testing.assert_array_equal(again.queues, state.queues[:, some])
        np.testing.assert_array_equal(again.heard, state.heard[some])
        np.testing.assert_array_equal(again.errors, state.errors[some])
    codes, again = generate(stack, cond, streams, precision, 1, asked)
    np.testing.assert_array_equal(codes, whole)
    monkeypatch.setattr(numba_cpu, "_WORDS_A_CALL", 1)  # one sample a call
    codes, again = generate(stack, cond, streams, precision, asked=asked)
    np.testing.assert_array_equal(codes, whole)
    np.testing.assert_array_equal(again.queues, state.queues)


def _of(asked, some):
    return jax.tree.map(lambda x: x[some], asked)


def teacher_forced(stack, cond, codes, **way):
    state = weights.initial_state(stack, len(codes))
    hop_length = codes.shape[1] // cond.shape[1]
    _, logits = api.logits(stack, state, cond, codes, hop_length=hop_length, **way)
    return np.asarray(logits, np.float64)


@pytest.mark.parametrize("name", ["small", "reference"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_logits_are_as_near_to_float64_as_promised(name, precision):
    case = cases.CASES[name]
    stack, cond = cases.weights(case, seed=5), cases.conditioning(case, 5, 2)
    codes, _ = generate(stack, cond, np.arange(5), "float32")
    expected = teacher_forced(stack, cond, codes, backend="reference")
    found = teacher_forced(stack, cond, codes, backend="numba_cpu", precision=precision)
    if precision == "float32":
        assert np.abs(found - expected).max() < 2e-5
    else:
        assert divergence.nats(expected, found).mean() < DIVERGENCE[precision]


@pytest.mark.parametrize("name", ["tiny_odd", "tiny_three_taps", "small"])
def test_bfloat16_is_exact_for_the_weights_it_rounded_to(name):
    case = cases.CASES[name]
    stack, cond = cases.weights(case, seed=5), cases.conditioning(case, 2, 3)
    codes, _ = generate(stack, cond, np.arange(2), "float32")
    expected = teacher_forced(rounded(stack), cond, codes, backend="reference")
    found = teacher_forced(stack, cond, codes, backend="numba_cpu", precision="bfloat16")
    # Nothing but the weights is rounded: the tolerance is float32's own.
    assert np.abs(found - expected).max() < 2e-5


def rounded(stack):
    """The weights that bfloat16 stands for: packed, unpacked, put back in their places."""
    lanes = machine.lanes()
    places = packing.matrices(stack, "bfloat16", lanes)
    found = packing.unpack(packing.pack(stack, "bfloat16", lanes), stack, lanes)
    by_bytes = {m.tobytes(): again for (m, *_), again in zip(places, found, strict=True)}
    K, L, R = stack.kernel_size, len(stack.dilations), stack.residual_channels
    pad = lambda x, n: np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, -x.shape[-1] % n)])
    filters, gates = np.split(stack.gate, 2, axis=-1)
    wide = np.concatenate([pad(filters, lanes), pad(gates, lanes)], axis=-1)
    half = wide.shape[-1] // 2

    def again(matrix, rows, columns):
        return by_bytes[np.ascontiguousarray(matrix).tobytes()][:rows, :columns]

    gate = np.array(stack.gate)
    for layer in range(L):
        for k in range(K):
            both = again(wide[layer, k], R, None)
            gate[layer, k] = np.concatenate([both[:, :R], both[:, half : half + R]], axis=1)
    residual = np.array(stack.residual)
    for layer in range(L - 1):
        residual[layer] = again(pad(stack.residual[layer], 2 * lanes), R, R)
    S, H, V = stack.skip.shape[2], stack.head1.shape[1], stack.n_codes
    skip = again(pad(stack.skip.reshape(L * R, S), 2 * lanes), L * R, S).reshape(L, R, S)
    heads = [
        again(pad(pad(head, 2 * lanes).T, 2 * lanes).T, *shape)
        for head, shape in ((stack.head1, (S, H)), (stack.head2, (H, V)))
    ]
    return weights.StackWeights(
        embed=stack.embed,
        gate=gate,
        gate_bias=stack.gate_bias,
        residual=residual,
        residual_bias=stack.residual_bias,
        skip=skip,
        skip_bias=stack.skip_bias,
        head1=heads[0],
        head1_bias=stack.head1_bias,
        head2=heads[1],
        head2_bias=stack.head2_bias,
        dilations=stack.dilations,
    )


def test_free_running_codes_are_the_references_but_for_ties_of_a_millionth():
    case, T = cases.CASES["small"], 384
    stack, cond = cases.weights(case, seed=2), cases.conditioning(case, 2, T // P)
    codes, _ = generate(stack, cond, np.arange(2), "float32")
    logits = teacher_forced(stack, cond, codes, backend="reference")
    u = random.uniforms(7, np.arange(2)[:, None], np.arange(T)[None], np)
    for place in np.ndindex(codes.shape):
        if codes[place] != reference.draw(logits[place], u[place], 1.0, 0, 1.0):
            p = np.exp(logits[place] - logits[place].max())
            assert np.abs(np.cumsum(p) / p.sum() - u[place]).min() < 1e-6


def test_weights_are_packed_once_and_forgotten_with_them():
    stack = cases.weights(cases.CASES["tiny_odd"])
    pack = numba_cpu.packed(stack, "float32")
    assert numba_cpu.packed(stack, "float32") is pack
    assert numba_cpu.packed(stack, "bfloat16") is not pack
    kept = len(numba_cpu._packs)
    del stack
    assert len(numba_cpu._packs) == kept - 1


# --- machine code ---


def code(precision):
    """The assembly of the loop."""
    case = cases.CASES["tiny_odd"]
    stack = cases.weights(case)
    numba_cpu_call(stack, case, precision)
    words = numba.typeof(numba_cpu.packed(stack, precision))
    overloads: Any = loop.samples.overloads
    (compiled,) = (each for types, each in overloads.items() if types[0].types[0] == words)
    # What was loaded from the cache has no assembly, but LLVM's own code: optimised, all in one.
    return machine.assembly(str(compiled.library._get_module_for_linking()))


def numba_cpu_call(stack, case, precision):
    generate(stack, cases.conditioning(case, 1, 1), np.arange(1), precision)


def inner_loops(assembly):
    """Bodies of loops without a loop or a branch inside, as lists of instructions."""
    found, label, body = [], None, []
    for line in assembly.splitlines():
        line = line.split("#")[0].strip()
        if match := re.match(r"(\.?L\w+):", line):
            label, body = match[1], []
        elif line and not line.startswith("."):
            body.append(line)
            if line.startswith("j"):
                if line.split()[-1] == label:
                    found.append(body)
                label, body = None, []
    return found


HOT = {"float32": r"vfmadd\w+ps", "bfloat16": r"vfmadd\w+ps", "int8": r"vpdpbusd"}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_loop_uses_whole_vectors_spills_none_and_calls_no_scalar_mathematics(precision):
    assembly = code(precision)
    assert not re.findall(
        r"\b(\w*(?:expf|exp|tanh\w*|logf|log|fmaf|rintf|floorf))\b(?!:)", assembly
    )
    if machine.lanes() == 4:
        return  # what follows reads the machine code of AVX and wider only
    wide = {8: "ymm", 16: "zmm"}[machine.lanes()]
    hot = [
        body
        for body in inner_loops(assembly)
        if sum(bool(re.match(HOT[precision], line)) for line in body) >= 4
    ]
    # One stream and a tile of streams, for blocks of every width.
    assert len(hot) >= 4
    for body in hot:
        for line in body:
            spilled = re.search(r"\(%rsp[,)]", line) and "mm" in line
            assert not spilled, line
            if re.match(HOT[precision], line):
                assert wide in line, f"too narrow: {line}"


# --- processes ---


def test_whatever_the_loop_imports_is_a_reason_to_compile_it_anew():
    package, imported = KERNELS / "wavegen_kernels", set()
    for path in (package / "cpu").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module)
                imported |= {f"{node.module}.{name.name}" for name in node.names}
    files = {KERNELS.joinpath(*name.split(".")).with_suffix(".py") for name in imported}
    wanted = {path for path in files if path.is_file()}
    assert {package / "predictor.py", package / "cpu" / "tile.py"} <= wanted
    assert wanted <= set(machine.sources())


SCRIPT = """
import logging, sys
logging.basicConfig(level=logging.INFO, format="%(message)s")
import numpy as np
from wavegen_kernels import backends, cases, weights
from wavegen_kernels.cpu import machine
from wavegen_kernels.generate import api
print("lanes", machine.lanes(), "int8", backends.unavailable_reason("numba_cpu", "int8") is None)
for name in ("tiny_odd", "tiny_three_taps", "small"):
    case = cases.CASES[name]
    stack, cond = cases.weights(case), cases.conditioning(case, 5, 2)
    codes = np.random.default_rng(0).integers(0, case.n_codes, (5, 16))
    logits = {}
    for way in ("reference", *sys.argv[1:]):
        exact = way == "reference"
        keywords = {"backend": way} if exact else {"backend": "numba_cpu", "precision": way}
        state = weights.initial_state(stack, 5)
        _, logits[way] = api.logits(stack, state, cond, codes, hop_length=8, **keywords)
    print(name, *(np.abs(logits[way] - logits["reference"]).max() for way in sys.argv[1:]))
"""


def run(folder, *precisions, **environment):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *precisions],
        env={
            **os.environ,
            "PYTHONPATH": str(KERNELS),
            "NUMBA_CACHE_DIR": str(folder),
            **environment,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines(), done.stderr


# Processors whose code runs here too, how many lanes they have, and precisions to try on them.
PROCESSORS = [
    ("haswell", "", 8, ["float32", "bfloat16"]),
    ("x86-64", "", 4, ["float32"]),
    ("alderlake", "+avxvnni", 8, ["int8"]),
]
if machine.lanes() < 8:  # without AVX2: this one alone
    PROCESSORS = [(*machine.target()[1:], machine.lanes(), ["float32"])]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Where all of them keep what they compiled."""
    return tmp_path_factory.mktemp("compiled")


@pytest.mark.slow
@pytest.mark.parametrize(("processor", "features", "lanes", "precisions"), PROCESSORS)
def test_every_processor_gets_a_right_answer_by_code_that_the_next_process_loads(
    kept, processor, features, lanes, precisions
):
    if "int8" in precisions and "+avxvnni" not in machine.target()[2]:
        pytest.skip("this processor has no AVX-VNNI to run")
    environment = {"NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": features}
    printed, said = run(kept, *precisions, **environment)
    assert printed[0] == f"lanes {lanes} int8 {'int8' in precisions}"
    for line in printed[1:]:
        errors = dict(zip(precisions, map(float, line.split()[1:]), strict=True))
        # The rounding of weights and inputs moves single logits; the divergence is tested above.
        limits = {"float32": 2e-5, "bfloat16": 0.1, "int8": 0.5}
        assert all(errors[precision] < limits[precision] for precision in precisions)
    # Once for each precision whatever the network, and never another processor's.
    assert said.count("compiling the sampling kernel") == len(precisions)
    assert "it is kept for next time" in said
    again, said = run(kept, *precisions, **environment)
    assert again == printed
    assert "compiling" not in said


INTERRUPTED = """
import signal
import numpy as np
from wavegen_kernels import cases, weights
from wavegen_kernels.generate import api
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
case = cases.CASES["big"]
stack, cond = cases.weights(case), cases.conditioning(case, 4, 1)
for hop_length in (8, 10_000_000):
    print("begins", flush=True)
    try:
        state = weights.initial_state(stack, 4)
        keywords = {"seed": 0, "streams": np.arange(4), "backend": "numba_cpu"}
        api.generate(stack, state, cond, hop_length=hop_length, **keywords)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


def test_a_long_call_can_be_interrupted():
    environment = {**os.environ, "PYTHONPATH": str(KERNELS)}
    command = [sys.executable, "-c", INTERRUPTED]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begins\n"  # a short call, which compiles
        assert process.stdout.readline() == "begins\n"  # one of many minutes
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        try:
            # Generous, for machines that do other work; by itself it would take hours.
            out, _ = process.communicate(timeout=30)
        finally:
            process.kill()
    assert out == "interrupted\n"


ARM = """
import numba
from llvmlite import binding
from numba import types
from wavegen_kernels.cpu import machine, product
binding.initialize_all_targets()
binding.initialize_all_asmprinters()
rows, at = types.UniTuple(types.int64, 2), types.int64
for word in (types.float32, types.uint32):
    signatures = {
        product.product: (word, at, types.boolean, rows, at, rows, at, rows, at, at),
        product.activate: (word, rows, rows, at, at),
    }
    for function, signature in signatures.items():
        function.compile(signature)
        ir = function.inspect_llvm(signature)
        triple = "aarch64-unknown-linux-gnu"
        code = machine.assembly(ir.replace(machine.target()[0], triple), triple, "neoverse-n1", "")
        print(code.count("fmla"))
"""


def test_products_and_gates_compile_for_arm(tmp_path):
    """Not run: no such machine was at hand. int8 is x86's alone."""
    # Four lanes, as Arm has; without arrays, whose reference counts are code for one processor.
    environment = {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": ""}
    done = subprocess.run(
        [sys.executable, "-c", ARM],
        env={**os.environ, "PYTHONPATH": str(KERNELS), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    # Products of float32, their gates, the same for bfloat16: full of fused multiply-adds.
    assert all(int(count) > 10 for count in done.stdout.split())
    assert len(done.stdout.split()) == 4
