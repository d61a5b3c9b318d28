import os

import pytest

from ..apps.data.write import write_data


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with a data set for each app in `data/` and a backbone, which is the working folder."""
    folder = tmp_path_factory.mktemp("work")
    before = os.getcwd()
    os.chdir(folder)
    write_data(folder / "data")
    yield folder
    os.chdir(before)
