"""Kernels compiled for a device that is not here: what can be known of them without one.

Lowering takes any machine. Compiling takes the compiler of the device in a wheel:
`jax-cuda13-pjrt` and `jax-cuda13-plugin` of the version of jax for a GPU, `libtpu` for a TPU. On
a machine that has no such device, set JAX_PLATFORMS=cpu: jax drops a compiler without a device.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import topologies
from jax.sharding import AbstractDevice, AbstractMesh, Mesh, NamedSharding, PartitionSpec

from wavegen_kernels import cases, predictor
from wavegen_kernels.accelerator import launch
from wavegen_kernels.accelerator.launch import Chip
from wavegen_kernels.generate import pallas_gpu, pallas_tpu
from wavegen_kernels.weights import initial_state


class Target(NamedTuple):
    """A device to compile for."""

    platform: str  # as jax names it when lowering
    kind: str
    backend: ModuleType
    chip: Chip
    config: str  # what XLA wants to know of a GPU


# An H200 differs in its memory alone.
_H100 = {
    "threads_per_block_limit": 1024,
    "threads_per_warp": 32,
    "shared_memory_per_block": 49_152,
    "shared_memory_per_core": 233_472,
    "threads_per_core_limit": 2048,
    "core_count": 132,
    "fpus_per_core": 128,
    "block_dim_limit_x": 2**31 - 1,
    "block_dim_limit_y": 65_535,
    "block_dim_limit_z": 65_535,
    "memory_bandwidth": 3_352_320_000_000,
    "l2_cache_size": 52_428_800,
    "clock_rate_ghz": 1.98,
    "device_memory_size": 84_978_434_048,
    "shared_memory_per_block_optin": 232_448,
    "cuda_compute_capability": "{ major: 9 minor: 0 }",
    "registers_per_core_limit": 65_536,
    "registers_per_block_limit": 65_536,
}
# Of the GPUs that Triton compiles for it has the least shared memory, as all of its generation.
_RTX_4090 = _H100 | {
    "shared_memory_per_core": 102_400,
    "threads_per_core_limit": 1536,
    "core_count": 128,
    "memory_bandwidth": 1_008_000_000_000,
    "l2_cache_size": 75_497_472,
    "clock_rate_ghz": 2.52,
    "device_memory_size": 25_757_220_864,
    "shared_memory_per_block_optin": 101_376,
    "cuda_compute_capability": "{ major: 8 minor: 9 }",
}


def _gpu(kind: str, info: dict[str, Any]) -> Target:
    config = f"""
        gpu_device_info {{ {" ".join(f"{name}: {value}" for name, value in info.items())} }}
        platform_name: "CUDA"
        dnn_version_info {{ major: 9 minor: 8 patch: 0 }}
        runtime_version {{ major: 12 minor: 8 patch: 0 }}
        device_description_str: "{kind}"
    """
    chip = Chip(info["core_count"], info["shared_memory_per_block_optin"])
    return Target("cuda", kind, pallas_gpu, chip, config)


TARGETS = {
    "h100": _gpu("NVIDIA H100 80GB HBM3", _H100),
    "rtx4090": _gpu("NVIDIA GeForce RTX 4090", _RTX_4090),
    "v5e": Target("tpu", "TPU v5 lite", pallas_tpu, Chip(1, 2**27), ""),
}


class Problem(NamedTuple):
    """One call of a kernel's stretch, of random weights."""

    case: cases.Case
    batch: int
    precision: str = "bfloat16"
    tile_streams: int | None = None  # None: what the backend takes for so many streams
    frames: int = 2
    hop_length: int = 128
    filtered: bool = False
    measured: bool = False
    teacher: bool = False


def lowered(name: str, problem: Problem, sharding: Any = None) -> Any:
    """The stretch as the device's compiler takes it. Raises what Pallas raises where it cannot."""
    target = TARGETS[name]
    run, arguments = _stretch(target, problem)
    shapes = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), arguments
    )
    kind = "gpu" if target.platform == "cuda" else target.platform
    device = AbstractDevice(device_kind=target.kind, num_cores=target.chip.cores, platform=kind)
    with jax.sharding.use_abstract_mesh(AbstractMesh((), (), abstract_device=device)):
        traced = jax.jit(run).trace(*shapes)
        return traced.lower(lowering_platforms=(target.platform,))


def compiled(name: str, problem: Problem) -> Any:
    """The stretch compiled for the device. Raises RuntimeError where its compiler is missing."""
    devices = topology(name)
    sharding = NamedSharding(Mesh(devices[:1], ("x",)), PartitionSpec())
    return lowered(name, problem, sharding).compile()


def topology(name: str) -> Any:
    """Devices of that kind to compile for. Raises RuntimeError where the compiler is missing."""
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")  # asks the network else
    jax.devices()  # looks for compilers, too
    options = {"topology_name": "v5e:2x2"}
    if TARGETS[name].platform == "cuda":
        options = {"topology_name": name, "topology": "1x1x1"}
        options["target_config"] = TARGETS[name].config
    try:
        return topologies.get_topology_desc(platform=TARGETS[name].platform, **options).devices
    except Exception as error:  # of many kinds: it depends on what of the compiler is missing
        advice = "install it, and set JAX_PLATFORMS=cpu"
        raise RuntimeError(f"no compiler for {name} is found ({error}); {advice}") from error


def _stretch(target: Target, problem: Problem) -> tuple[Callable[..., Any], tuple]:
    """The function that a call compiles, and its arguments."""
    case, B, F = problem.case, problem.batch, problem.frames
    weights, machine = cases.weights(case), target.backend.MACHINE
    plan = launch.plan(
        weights, problem.hop_length, problem.filtered, problem.measured, teacher=problem.teacher
    )
    wanted = (plan, weights, B, problem.precision)
    tiling, stack, net = launch.prepared(machine, target.chip, *wanted)
    if problem.tile_streams is not None:
        tiling = tiling._replace(streams=problem.tile_streams)
    linear, asked, echo = weights.predictor, cases.asked(case, B, F), None
    if linear is not None and linear.periodic:
        echo = predictor.echo(asked["periods"], linear.order, linear.window, linear.damping, np)
    call = launch.Call(
        cond=cases.conditioning(case, B, F),
        settings=np.ones((3 + case.steered, B, F), np.float32),
        seed=np.uint32(0),
        streams=np.zeros(B, np.uint32),
        forced=np.full((B, F * problem.hop_length), -1, np.int32),
        echo=echo,
        aim=asked.get("aim"),
    )
    given = net, initial_state(weights, B), call
    return partial(launch.stretch, machine, tiling, plan, stack), given
