import datetime
import errno
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import portalocker
import pytest
from keras_recurrent.apps.shared.errors import AlreadyLockedError, LockError
from keras_recurrent.apps.shared.locks import locked

# A process that holds a lock as `locked` does, without the seconds that importing this package takes.
HOLDER = """
import sys, portalocker
file = open(sys.argv[1], "a+")
portalocker.lock(file, portalocker.LOCK_EX)
file.write(f"{sys.argv[2]}\\n")
file.flush()
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lock"


@pytest.fixture
def hold(path):
    processes = []

    def start(line):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, path, line], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        processes.append(process)
        assert process.stdout.readline() == "locked\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()


def test_the_file_names_its_holder_and_is_deleted(path):
    with locked(path):
        process, start, host = path.read_text().split()
        assert int(process) == os.getpid() and host == socket.gethostname()
        assert abs(datetime.datetime.now() - datetime.datetime.fromisoformat(start)).total_seconds() < 60
        with (
            pytest.raises(AlreadyLockedError, match=re.escape(f"{path} is locked by process {process} since")) as error,
            locked(path),
        ):
            pass
        assert error.value.holder == f"process {process} since {start[11:16]}"
    assert not path.exists()
    with locked(path):
        pass


def test_the_lock_is_released_after_an_error(path):
    with pytest.raises(KeyError), locked(path):
        raise KeyError
    with locked(path):
        pass


@pytest.mark.parametrize(
    "line, holder",
    [
        ("12 2026-01-02T03:04:05 elsewhere", "process 12 on elsewhere since 2026-01-02 03:04"),
        (f"12 2026-01-02T03:04:05 {socket.gethostname()}", "process 12 since 2026-01-02 03:04"),
        ("12 yesterday elsewhere", "another process"),
        ("", "another process"),
    ],
)
def test_another_process(line, holder, path, hold):
    hold(line)
    with pytest.raises(AlreadyLockedError) as error, locked(path):
        pass
    assert error.value.holder == holder


def test_a_killed_process_does_not_block(path, hold):
    process = hold(f"12 2026-01-02T03:04:05 {socket.gethostname()}")
    process.send_signal(signal.SIGKILL)
    process.wait()
    with locked(path):
        assert path.read_text().split()[0] == str(os.getpid())


def test_waiting(path, hold, capsys):
    process = hold("12 2026-01-02T03:04:05 elsewhere")
    threading.Timer(0.3, process.kill).start()
    with locked(path, wait=True):
        assert process.wait(10)
    assert f"waiting for process 12 on elsewhere since 2026-01-02 03:04, which holds {path}" in capsys.readouterr().err


def test_one_holder_at_a_time_although_the_file_is_deleted(path):
    counter = {"inside": 0, "entered": 0}

    def enter():
        for _ in range(20):
            with locked(path, wait=True):
                counter["inside"] += 1
                time.sleep(0.001)
                assert counter["inside"] == 1
                counter["entered"] += 1
                counter["inside"] -= 1

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter["entered"] == 80
    assert not path.exists()


def test_a_file_system_without_locks(path, monkeypatch):
    def refuse(file, flags):
        error = OSError(errno.ENOLCK, "No locks available")
        raise portalocker.LockException(error, str(error), fh=file)

    monkeypatch.setattr(portalocker, "lock", refuse)
    with pytest.raises(LockError, match=r"cannot lock a file there .*No locks available"), locked(path):
        pass
