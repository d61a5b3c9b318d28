import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
from keras_recurrent.apps.shared.allocator import keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def faults_of_twenty():
    before = faults()
    for _ in range(20):
        b"x" * (40 << 20)  # more than glibc keeps by itself
    return faults() - before

by_default = faults_of_twenty()
keep_freed_memory()
print(by_default, faults_of_twenty())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library is left as it is")
@pytest.mark.rest
def test_memory_that_was_freed_is_used_again():
    done = subprocess.run([sys.executable, "-P", "-c", FAULTS], capture_output=True, text=True, check=True)
    by_default, kept = map(int, done.stdout.split())
    assert kept < by_default / 10
