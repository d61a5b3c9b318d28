import re
import shutil

from keras_recurrent.apps import cli
from keras_recurrent.apps.translation import demo


def test_what_make_demo_prints(saved, tmp_path, capsys):
    folder = shutil.copytree(saved, tmp_path / "model")
    assert cli.main(["translation", "evaluate", str(folder), "--baseline", "nearest"]) == 0
    assert cli.main(["translation", "export", str(folder)]) == 0
    capsys.readouterr()
    demo.main(str(folder))
    output = capsys.readouterr().out
    scores = [float(score) for score in re.findall(r"^BLEU .*: ([\d.]+)$", output, flags=re.M)]
    # The training has the test's sentences, so that the most similar one is the same.
    assert scores[0] > 90 and scores[1] == 100
    translations, references = (
        re.findall(rf"^  {word} +(.*)", output, flags=re.M) for word in ("translation", "reference")
    )
    assert len(references) == 5
    assert sum(map(str.__eq__, translations, references)) >= 4
    assert (folder / "figures" / "alignment.png").stat().st_size > 5_000
