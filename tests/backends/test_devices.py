"""A training on several devices or hosts gives the losses and weights of one device."""

import contextlib
import os
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from keras_recurrent.apps.shared.errors import UsageError
from keras_recurrent.apps.shared.models.outputs import STATES
from keras_recurrent.apps.shared.training import devices

from .data import write_data

pytest.importorskip("jax")
pytestmark = pytest.mark.devices

# Trains once on one device and once on all, in one process.
SCRIPT = """
import sys
import time
from keras_recurrent.apps import cli
folder, *arguments = sys.argv[1:]
for name, devices in (("one", "1"), ("all", "all")):
    status = cli.main([*arguments, "--output", f"{folder}/{name}", *(["--devices", devices] if name == "all" else [])])
    assert status == 0, name
"""
MAIN = "import sys; from keras_recurrent.apps import cli; sys.exit(cli.main(sys.argv[1:]))"


@pytest.fixture(params=["translation", "generation", "captioning", "vqa", "forecasting"])
def command(request, tmp_path):
    """The arguments of a training. But for images, whose backbone normalizes a batch, batches do not divide by four.

    The captioner's backbone is frozen: Adam moves a weight by the whole rate even if its gradient is a rounding error.
    """
    frozen = ["--backbone-epoch", "0"] if request.param == "captioning" else []
    return [*write_data(request.param, tmp_path / "data"), *frozen]


def environment(devices):
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    return {**os.environ, "KERAS_BACKEND": "jax", "XLA_FLAGS": flags}


def results(folder):
    """The losses and weights of a model's folder."""
    import keras
    import keras_recurrent.layers  # noqa: F401, registers them

    history = np.genfromtxt(folder / "history.csv", delimiter=",", names=True)
    weights = keras.models.load_model(folder / "model.keras", compile=False).get_weights()
    return [history["loss"], history["val_loss"]], weights


def assert_same(folder, other):
    for values, expected in zip(results(folder), results(other), strict=True):
        for value, wanted in zip(values, expected, strict=True):
            np.testing.assert_allclose(value, wanted, atol=1e-5)


def test_four_devices_give_the_result_of_one(command, tmp_path):
    run = [sys.executable, "-c", SCRIPT, str(tmp_path), *command]
    result = subprocess.run(run, env=environment(4), capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert_same(tmp_path / "all", tmp_path / "one")


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def start(command, output, address, host):
    arguments = [*command, "--output", str(output), "--hosts", f"{address},127.0.0.1", "--host", str(host)]
    run = [sys.executable, "-c", MAIN, *arguments]
    return subprocess.Popen(run, env=environment(2), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


@pytest.mark.parametrize("command", ["vqa"], indirect=True)
def test_two_hosts_give_the_result_of_one(command, tmp_path):
    address = f"127.0.0.1:{free_port()}"
    processes = [start(command, tmp_path / "hosts", address, host) for host in (1, 0)]
    errors = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    alone = [sys.executable, "-c", MAIN, *command, "--output", str(tmp_path / "one")]
    subprocess.run(alone, env=environment(1), check=True, capture_output=True)
    assert_same(tmp_path / "hosts", tmp_path / "one")


def launched(launcher, job, index, local=0, hosts=2):
    """The environment that a launcher sets for one of two processes of a job.

    The first process listens on port 61440 + `job`.
    """
    if launcher == "slurm":
        variables = {"JOB_ID": job, "STEP_NODELIST": "localhost", "STEP_NUM_NODES": hosts, "NTASKS": 2}
        variables |= {"PROCID": index, "LOCALID": local}
        return {f"SLURM_{name}": str(value) for name, value in variables.items()}
    size = {"SIZE": 2, "RANK": index, "LOCAL_RANK": local, "LOCAL_SIZE": 2 // hosts}
    variables = {f"OMPI_COMM_WORLD_{name}": str(value) for name, value in size.items()}
    return {**variables, "OMPI_MCA_orte_hnp_uri": f"{job * 4096}.0;tcp://127.0.0.1:1"}


def free_job():
    for job in range(os.getpid() % 2048, 4096):
        with contextlib.suppress(OSError), socket.create_server(("", 61440 + job)):
            return job


@pytest.mark.parametrize("launcher", ["slurm", "open_mpi"])
@pytest.mark.parametrize("command", ["classification"], indirect=True)
def test_hosts_of_a_launcher(launcher, command, tmp_path):
    run, job = [sys.executable, "-c", MAIN, *command], free_job()
    processes = [
        subprocess.Popen(
            [*run, "--output", str(tmp_path / "hosts"), "--hosts", "auto"],
            env={**environment(2), **launched(launcher, job, index)},
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        for index in (1, 0)
    ]
    errors = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    subprocess.run([*run, "--output", str(tmp_path / "one")], env=environment(1), check=True, capture_output=True)
    assert_same(tmp_path / "hosts", tmp_path / "one")


@pytest.mark.parametrize("launcher", ["slurm", "open_mpi"])
@pytest.mark.parametrize(
    ("local", "hosts", "visible", "expected"),
    [
        (0, 2, None, None),  # the only process of its host uses all devices
        (1, 1, None, [1]),  # one of two processes of a host uses one device
        (1, 1, "3", None),  # the launcher hides the devices of the other process
    ],
)
def test_devices_of_a_process_of_a_launcher(launcher, local, hosts, visible, expected, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    variables = {**launched(launcher, 7, 1, local, hosts), **({"CUDA_VISIBLE_DEVICES": visible} if visible else {})}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    address = {"slurm": "localhost:61447", "open_mpi": "127.0.0.1:61447"}[launcher]
    assert devices._detect_hosts() == (address, 2, 1, expected)


KUBERNETES = """
from types import SimpleNamespace as Object

metadata = Object(name="train-1", labels={"job-name": "train"}, owner_references=[Object(controller=True, kind="Job")])
pods = Object(items=[Object(metadata=metadata, spec=Object(subdomain="workers"))])
job = Object(metadata=Object(name="train", labels={}), spec=Object(parallelism=2))
config = Object(load_incluster_config=lambda: None)
client = Object(
    CoreV1Api=lambda: Object(list_namespaced_pod=lambda namespace, field_selector: pods),
    BatchV1Api=lambda: Object(read_namespaced_job=lambda name, namespace: job),
    exceptions=Object(ApiException=OSError),
)
"""


def test_hosts_of_kubernetes(tmp_path, monkeypatch):
    from jax._src.clusters import K8sCluster

    variables = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "1", "HOSTNAME": "train-1"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="requires the package kubernetes"):
        devices._detect_hosts()
    (tmp_path / "kubernetes.py").write_text(KUBERNETES)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(K8sCluster, "_namespace", lambda: "default")  # in a file of the pod
    monkeypatch.setattr(socket, "gethostbyname", lambda name: "10.0.0.2")
    assert devices._detect_hosts() == ("train-0.workers:55527", 2, 1, None)


# Host 1 reads one example less.
LESS = """
from keras_recurrent.apps.classification import data
data.read = lambda config, split, read=data.read: read(config, split)[:-1]
"""


@pytest.mark.parametrize("command", ["classification"], indirect=True)
@pytest.mark.parametrize(("script", "options", "what"), [("", ["--seed=4"], "configuration"), (LESS, [], "data")])
def test_hosts_that_differ_end_with_one_line(command, script, options, what, tmp_path):
    hosts = ["--output", str(tmp_path / "model"), "--hosts", f"127.0.0.1:{free_port()},b"]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", source, *command, *hosts, *arguments],
            env=environment(1),
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        for source, arguments in ((MAIN, ["--host=0"]), (script + MAIN, ["--host=1", *options]))
    ]
    for process in processes:
        error = process.communicate(timeout=200)[1]
        assert process.returncode == 2, error
        assert f"host 1 has another {what} than host 0" in error.splitlines()[-1]


@pytest.mark.parametrize("command", ["translation"], indirect=True)
def test_a_killed_host_ends_the_training_which_one_device_resumes(command, tmp_path):
    address, output = f"127.0.0.1:{free_port()}", tmp_path / "hosts"
    command = [*command, "--epochs", "300", "--patience", "300"]
    other, first = (start(command, output, address, host) for host in (1, 0))
    states = tmp_path / ".hosts.unfinished" / STATES
    deadline = time.monotonic() + 240
    while len([*states.glob("*.npz")]) < 2 and time.monotonic() < deadline:
        time.sleep(0.2)
    other.kill()
    error = first.communicate(timeout=150)[1]
    assert first.returncode == 2, error
    assert "another host has stopped or does not answer; --resume continues the training" in error.splitlines()[-1]
    resumed = [sys.executable, "-c", MAIN, *command, "--output", str(output), "--resume"]
    process = subprocess.Popen(
        resumed, env=environment(1), stderr=subprocess.PIPE, text=True, stdout=subprocess.DEVNULL
    )
    lines = iter(process.stderr.readline, "")
    assert any("resuming after epoch" in line for line in lines)
    assert any("epoch" in line and "val_loss" in line for line in lines)  # the next one
    process.kill()
    process.communicate()


@pytest.mark.parametrize("command", ["translation"], indirect=True)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--devices", "3"], "--devices 3: there are 2 of the kind cpu:0"),
        (["--devices", "some"], "--devices takes a positive integer or all, not 'some'"),
        (["--devices", "2", "--batch-size", "1"], "--batch-size 1 is smaller than the 2 devices"),
        (["--hosts", "a,b"], "--hosts requires --host, the index of this host among them, from 0"),
        (["--hosts", "a,b", "--host", "2"], "--host 2: there are 2 hosts, the first one is 0"),
        (["--hosts", "127.0.0.1:{port},10.0.0.7", "--host", "0"], "no answer from 10.0.0.7"),
        (["--hosts", "127.0.0.1:{port},b", "--host", "1"], "host 0 does not answer at 127.0.0.1:"),
        (["--hosts", "auto"], "--hosts auto requires srun of Slurm, mpirun of Open MPI, or Kubernetes"),
    ],
)
def test_mistakes_are_one_line(command, options, message, tmp_path):
    options = [option.format(port=free_port()) for option in options]
    script = f"from keras_recurrent.apps.shared.training import devices; devices.TIMEOUT = 3; {MAIN}"
    run = [sys.executable, "-c", script, *command, "--output", str(tmp_path / "model"), *options]
    result = subprocess.run(run, env=environment(2), capture_output=True, text=True)
    assert result.returncode == 2
    assert message in result.stderr.splitlines()[-1]
    assert not (tmp_path / "model").exists()
