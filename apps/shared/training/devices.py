"""Several devices and hosts, each of which computes a part of every batch.

Keras's `DataParallel` on JAX: the weights are on all devices, the rows of a batch are divided among them, and loss,
gradient and clipping are those of the whole batch. Each process reads its own rows.
"""

import contextlib
import dataclasses
import importlib.util
import math
import os
import re
import socket
import sys
import time
import traceback
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import tree

from ..console import note
from ..errors import USER_ERRORS, TrainingError, UsageError, first_line

TIMEOUT = 300  # seconds until a host that does not answer is an error
PORT = 47623  # of the first host


@dataclasses.dataclass(frozen=True)
class Share:
    """The part of each batch that this process reads.

    Attributes:
        index: The number of the process, from 0.
        count: The number of processes.
        devices: The number of devices of all processes.
    """

    index: int = 0
    count: int = 1
    devices: int = 1

    def of(self, rows: Any) -> Any:
        """Returns the rows of this process, of an array or a list whose length is a multiple of `count`."""
        size = len(rows) // self.count
        return rows[self.index * size : (self.index + 1) * size]

    def of_batch(self, batch: Any) -> Any:
        """Returns the rows of this process of each array of a batch."""
        return tree.map_structure(self.of, batch) if self.count > 1 else batch

    def rounded(self, rows: int) -> int:
        """Returns the smallest multiple of the number of devices that is at least `rows`."""
        return -(-rows // self.devices) * self.devices

    def check_divides(self, batch_size: int) -> None:
        """Raises a `TrainingError` if a batch cannot be divided evenly."""
        if batch_size % self.devices:
            raise TrainingError(f"--batch-size {batch_size} is not a multiple of the {self.devices} devices")

    def filled(self, indices: np.ndarray) -> np.ndarray:
        """Appends -1, which stands for an empty row, up to a multiple of the number of devices."""
        return np.pad(indices, (0, self.rounded(len(indices)) - len(indices)), constant_values=-1)


def share() -> Share:
    """Returns the part of this process; all rows without `use_devices`."""
    distribution = keras.distribution.distribution()
    if distribution is None:
        return Share()
    import jax

    return Share(jax.process_index(), jax.process_count(), math.prod(distribution.device_mesh.shape))


def description() -> str:
    """Returns the devices that compute and the backend, such as `"2 devices NVIDIA H200 (jax)"`."""
    backend = keras.config.backend()
    if backend == "jax":
        import jax

        count, kind = share().devices, jax.devices()[0].device_kind
    else:
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        count = 1
        kind = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU") if gpus else "cpu"
    name = f"CPU, {os.cpu_count()} cores" if kind == "cpu" else kind
    return f"{f'{count} devices: ' if count > 1 else ''}{name} ({backend})"


def is_chief() -> bool:
    """Returns whether this process writes the files: the first one."""
    return share().index == 0


def use_devices(devices: str | None, hosts: str | None, host: int | None, batch_size: int) -> None:
    """Trains on several devices from here on. Call it before JAX is used.

    Args:
        devices: The number of devices of each process, or `"all"`. None is one, or all of several hosts.
        hosts: The addresses of the hosts, separated by commas; the first one may have a port. `"auto"` takes them from
            the environment of Slurm, Open MPI or Kubernetes. None is this host alone.
        host: The index of this host among `hosts`. None finds it in the environment.
        batch_size: The number of examples of a batch.

    Raises:
        TrainingError: If there are fewer devices or more than examples of a batch, or a host does not answer.
        UsageError: If the backend is not JAX.
    """
    if devices is None and hosts is None:
        return
    if not re.fullmatch("[1-9][0-9]*|all", devices or "all"):
        raise UsageError(f"--devices takes a positive integer or all, not {devices!r}")
    if keras.config.backend() != "jax":
        raise UsageError("--devices and --hosts require --backend jax")
    if hosts is not None:
        _connect(hosts, host)
    import jax

    names = [f"{device.platform}:{device.id}" for device in jax.devices()]
    local = len(jax.local_devices())
    count = local if devices in (None, "all") else int(devices)
    if count > local:
        raise TrainingError(f"--devices {count}: there {'is' if local == 1 else 'are'} {local} of the kind {names[0]}")
    if jax.process_count() > 1 and count < local:
        raise TrainingError("with --hosts, all devices of each host are used; CUDA_VISIBLE_DEVICES hides some")
    if batch_size < count * jax.process_count():
        raise TrainingError(f"--batch-size {batch_size} is smaller than the {count * jax.process_count()} devices")
    distribution = keras.distribution.DataParallel(
        devices=names if jax.process_count() > 1 else names[:count], auto_shard_dataset=False
    )
    keras.distribution.set_distribution(distribution)
    keras.utils.set_random_seed(0)  # all processes must create the same variables, until the training sets its seed


def _connect(hosts: str, host: int | None) -> None:
    """Connects the processes of several hosts."""
    import jax

    if jax.distributed.is_initialized():  # by a launcher, such as Ray
        return
    local_devices = None
    if hosts == "auto":
        first, count, host, local_devices = _detect_hosts()
        addresses = [f"process {index}" for index in range(count)]
    else:
        addresses = hosts.split(",")
        if host is None:
            raise UsageError("--hosts requires --host, the index of this host among them, from 0")
        if host >= len(addresses):
            raise UsageError(f"--host {host}: there are {len(addresses)} hosts, the first one is 0")
        first = addresses[0] if ":" in addresses[0] else f"{addresses[0]}:{PORT}"
    _meet(first, addresses, host)
    try:
        jax.distributed.initialize(
            first,
            len(addresses),
            host,
            local_devices,
            cluster_detection_method="deactivate",  # it would use one device of each host
            initialization_timeout=TIMEOUT,
        )
    except (RuntimeError, ValueError) as error:
        raise TrainingError(f"the hosts {hosts} are not connected: {first_line(error)}") from error


def _detect_hosts() -> tuple[str, int, int, list[int] | None]:
    """Reads the environment of Slurm, Open MPI or Kubernetes.

    Returns:
        The address of the first process, the number of processes, the index of this one, and the indices of its
        devices. They are None if it uses all devices that it sees.

    Raises:
        UsageError: If there is no such environment.
        TrainingError: If the environment is not complete.
    """
    from jax._src.clusters import ClusterEnv  # `initialize` calls it, but aborts the process if a host does not answer

    if "KUBERNETES_SERVICE_HOST" in os.environ and importlib.util.find_spec("kubernetes") is None:
        raise UsageError("--hosts auto in Kubernetes requires the package kubernetes")
    try:
        first, count, index, local = ClusterEnv.auto_detect_unset_distributed_params(
            None, None, None, None, None, TIMEOUT
        )
    except (KeyError, OSError, RuntimeError, ValueError) as error:
        raise TrainingError(f"--hosts auto cannot read the environment: {first_line(error)}") from error
    if first is None:
        raise UsageError(
            "--hosts auto requires srun of Slurm, mpirun of Open MPI, or Kubernetes; otherwise name the hosts"
        )
    environment = os.environ.get
    if "OMPI_COMM_WORLD_LOCAL_SIZE" in os.environ:
        is_alone = environment("OMPI_COMM_WORLD_LOCAL_SIZE") == "1"
    else:
        is_alone = environment("SLURM_NTASKS") == environment("SLURM_STEP_NUM_NODES")
    # Some launchers show each process only the GPU that it is to use.
    if is_alone or len(environment("CUDA_VISIBLE_DEVICES", "0,1").split(",")) == 1:
        local = None
    return first, count, index, local


def _meet(first: str, addresses: list[str], host: int) -> None:
    """Waits until all hosts have started, because JAX aborts the process if one has not.

    Raises:
        TrainingError: If a host does not answer. The message names it.
    """
    name, _, port = first.rpartition(":")
    deadline = time.monotonic() + TIMEOUT
    if host:
        while True:
            try:
                with socket.create_connection((name, int(port)), timeout=1) as connection:
                    connection.sendall(host.to_bytes(4))
                    connection.settimeout(max(deadline - time.monotonic(), 1))
                    if connection.recv(1):
                        return
            except OSError:  # it has not started yet
                pass
            if time.monotonic() > deadline:
                raise TrainingError(f"host 0 does not answer at {first}")
            time.sleep(0.2)
    connections: dict[int, socket.socket] = {}
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("", int(port))))
        while len(connections) < len(addresses) - 1:
            server.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                connection = stack.enter_context(server.accept()[0])
                connection.settimeout(5)
                index = int.from_bytes(connection.recv(4))
                if 0 < index < len(addresses):  # no port scanner
                    connections[index] = connection
            except OSError:
                missing = [addresses[index] for index in range(1, len(addresses)) if index not in connections]
                if time.monotonic() > deadline:
                    raise TrainingError(f"no answer from {', '.join(missing)}") from None
        for connection in connections.values():
            connection.sendall(b"1")


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Within this context, variables are created on this process alone."""
    distribution = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(distribution)


@contextlib.contextmanager
def leaving_others() -> Iterator[None]:
    """Ends the process with one line if the block fails and there are other hosts.

    The end of Python would wait for the others and then abort.
    """
    try:
        yield
    except BaseException as error:
        if share().count == 1:
            raise
        if any(word in str(error) for word in ("Gloo", "NCCL", "UNAVAILABLE", "DEADLINE_EXCEEDED")):
            note(f"another host has stopped or does not answer; --resume continues the training ({error})")
        elif isinstance(error, (OSError, UnicodeError, *USER_ERRORS)):
            note(error)
        else:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(2)


def check_equal(value: int, what: str) -> None:
    """Raises a `TrainingError` if an integer is not the same in all processes.

    Args:
        value: Integer below 2**32, such as a checksum.
        what: What it stands for, such as `"data"`.
    """
    own = share()
    if own.count == 1:
        return
    from jax.experimental import multihost_utils

    values = multihost_utils.process_allgather(np.array([value], "uint32")).ravel()
    others = np.flatnonzero(values != values[0])
    if len(others):
        raise TrainingError(f"host {others[0]} has another {what} than host 0")


def wait_for_all(name: str) -> None:
    """Waits until all processes have come here."""
    if share().count > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(name)
