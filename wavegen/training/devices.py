"""The devices that train together: one mesh, over the processes of one machine or of many.

Parameters are on every device, a batch is spread over them by its rows. So a training is the
same on any number of devices, but for the order in which sums are taken.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from wavegen.errors import WavegenError

Tree = TypeVar("Tree")

AXIS = "data"
MEETING_SECONDS = 300  # that processes wait for each other at the start
HEARTBEAT_SECONDS = 100  # of silence, after which JAX itself ends what is left of a training


def start(
    coordinator: str | None = None,  # HOST:PORT of process 0
    num_processes: int | None = None,
    process_id: int | None = None,
    seconds: int = MEETING_SECONDS,
) -> None:
    """Joins the processes that train together; to be called before anything else asks JAX.

    Without arguments they are those that the environment tells of, or this one alone.
    """
    given = {
        "--coordinator": coordinator,
        "--num-processes": num_processes,
        "--process-id": process_id,
    }
    missing = [flag for flag, value in given.items() if value is None]
    if 0 < len(missing) < len(given):
        raise WavegenError(
            " and ".join(flag for flag in given if flag not in missing)
            + " without "
            + " and ".join(missing),
            "all three, alike but for --process-id, or none of them",
        )
    if missing and not environment(os.environ):
        return
    if num_processes is not None and process_id is not None:
        if not 0 <= process_id < num_processes:
            raise WavegenError(
                f"--process-id {process_id} with --num-processes {num_processes}",
                f"0 to {num_processes - 1}, each of them once",
            )
        _check_address(str(coordinator))
    # What processes on CPUs talk through; other devices have ways of their own.
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        jax.distributed.initialize(
            coordinator,
            num_processes,
            process_id,
            initialization_timeout=seconds,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
        )
    except (RuntimeError, ValueError) as error:
        raise WavegenError(
            f"the processes did not find each other within {seconds} s: {_short(error)}",
            "as many processes as --num-processes says, all of them started, and a coordinator "
            "(the machine of process 0) whose port the others can reach",
        ) from None


def environment(variables: Mapping[str, str]) -> str:
    """Who started several processes, by the environment's variables; empty if nobody did.

    What they say is read by JAX: https://docs.jax.dev/en/latest/multi_process.html
    """
    if int(variables.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        return "SLURM"
    if int(variables.get("OMPI_COMM_WORLD_SIZE", "1")) > 1:
        return "Open MPI"
    if "KUBERNETES_SERVICE_HOST" in variables and "JOB_COMPLETION_INDEX" in variables:
        return "Kubernetes"
    if "," in variables.get("TPU_WORKER_HOSTNAMES", ""):
        return "Cloud TPU"
    return ""


def mesh() -> Mesh:
    """All devices of all processes, in a row: those of one process next to each other."""
    # jax.make_mesh would order those of a TPU pod by their wires, and a process's own might be far
    # apart; its rows of a batch shall be one slice.
    ordered = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    return Mesh(np.array(ordered), (AXIS,), axis_types=(jax.sharding.AxisType.Auto,))


def check(batch_size: int, devices: Mesh, microbatches: int = 1) -> None:
    """Refuses a batch that cannot be spread evenly, or its equal parts cannot."""
    unit = devices.size * microbatches
    if batch_size % unit:
        parts = f" and training.microbatches is {microbatches}" if microbatches > 1 else ""
        raise WavegenError(
            f"training.batch_size is {batch_size}, and there are {devices.size} devices{parts}",
            "as many windows for each of them",
            f"take training.batch_size={-(-batch_size // unit) * unit}",
        )


def describe(devices: Mesh) -> str:
    """How many there are, of which kind, in how many processes."""
    kind, processes = devices.devices.flat[0].device_kind, jax.process_count()
    of = f" of {processes} processes" if processes > 1 else ""
    return f"{devices.size} devices ({kind}){of}" if devices.size > 1 else f"one device ({kind})"


def rows(batch_size: int, devices: Mesh) -> slice:
    """The rows of a batch that are this process's."""
    sharding = NamedSharding(devices, PartitionSpec(AXIS))
    indices = sharding.addressable_devices_indices_map((batch_size,)).values()
    spans = [index[0] for index in indices if index is not None]
    return slice(
        min(span.start or 0 for span in spans),
        max(batch_size if span.stop is None else span.stop for span in spans),
    )


def spread(batch: Tree, devices: Mesh) -> Tree:
    """A batch on all devices, from the rows that each process has of it."""
    sharding = NamedSharding(devices, PartitionSpec(AXIS))
    return jax.tree.map(lambda a: jax.make_array_from_process_local_data(sharding, a), batch)


def here(array: Any) -> np.ndarray:
    """The rows of a batch's array that this process has."""
    if not isinstance(array, jax.Array) or array.is_fully_addressable:
        return np.asarray(array)
    shards = sorted(array.addressable_shards, key=lambda shard: shard.index[0].start or 0)
    return np.concatenate([np.asarray(shard.data) for shard in shards])


def shared(tree: Tree, devices: Mesh) -> Tree:
    """The first process's arrays on every device. All processes have to ask at the same time."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        tree = multihost_utils.broadcast_one_to_all(tree)
    sharding = everywhere(devices)
    return jax.tree.map(
        lambda a: jax.make_array_from_process_local_data(sharding, np.asarray(a)), tree
    )


def everywhere(devices: Mesh) -> NamedSharding:
    """Where parameters are: whole on each device."""
    return NamedSharding(devices, PartitionSpec())


def is_full(error: Exception) -> bool:
    """Whether it says that a device has no memory left."""
    return "RESOURCE_EXHAUSTED" in str(error)


@contextmanager
def memory_told() -> Iterator[None]:
    """Turns what a device says when its memory is full into words."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if not is_full(error):
            raise
        raise WavegenError(
            f"the training does not fit into the memory of this device: {_short(error)}",
            do="raise training.microbatches, or lower training.batch_size or "
            "training.crop_samples; `wavegen train --plan` says what fits. What was saved is kept",
        ) from None


def is_first() -> bool:
    """Whether this is the process that speaks and writes for all."""
    return jax.process_index() == 0


def highest(here: int) -> int:
    """The highest of the processes' numbers. All of them have to ask at the same time."""
    if jax.process_count() == 1:
        return here
    from jax.experimental import multihost_utils

    return int(np.max(multihost_utils.process_allgather(np.array([here]))))


def _check_address(address: str) -> None:
    host, colon, port = address.rpartition(":")
    if not (host and colon and port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise WavegenError(f"--coordinator {address}", "HOST:PORT, such as 10.0.0.1:1234")


def _short(error: Exception) -> Any:
    return f"{error}".strip().split("\n")[0][:200]
