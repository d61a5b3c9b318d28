import math

import numpy as np
import pytest
from keras_recurrent.apps.captioning.metrics import CaptionMetrics, caption_metrics, caption_reward, caption_tokens
from keras_recurrent.apps.translation.metrics import TranslationMetrics, translation_metrics
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
from sacrebleu.metrics import BLEU, CHRF

WORDS = ["a", "man", "man's", "kızı", "हिन्दी", "3"]  # few, so that long n-grams match, too


def corpus(images, seed):
    """Random captions, some of them empty and some like a reference, and 1 to 5 references each."""
    generator = np.random.default_rng(seed)

    def caption(shortest):
        return " ".join(generator.choice(WORDS, generator.integers(shortest, 13)))

    references = [[caption(1) for _ in range(generator.integers(1, 6))] for _ in range(images)]
    hypotheses = [["", texts[-1], caption(0), caption(0)][generator.integers(4)] for texts in references]
    return hypotheses, references


def coco(hypotheses, references):
    """What coco-caption makes of captions whose words have spaces between them, on this package's scales."""
    results = {image: [text] for image, text in enumerate(hypotheses)}
    truth = dict(enumerate(references))
    bleu, _ = Bleu(4).compute_score(truth, results, verbose=0)
    return {
        **{f"bleu_{order}": 100 * score for order, score in enumerate(bleu, 1)},
        "rouge_l": Rouge().compute_score(truth, results)[0],
        "cider_d": Cider().compute_score(truth, results)[0],
    }


def cider_by_the_paper(hypotheses, references):
    """Equations 1 to 3 of Vedantam et al. 2015, times 10, on dense vectors."""

    def grams(text, n):
        words = text.split()
        return [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]

    total = 0.0
    for n in range(1, 5):
        all_texts = [*hypotheses, *(text for texts in references for text in texts)]
        omega = sorted({gram for text in all_texts for gram in grams(text, n)})
        documents = [sum(any(gram in grams(text, n) for text in texts) for texts in references) for gram in omega]
        idf = np.log(len(references) / np.maximum(documents, 1))

        def g(text, n=n, omega=omega, idf=idf):
            h = np.array([grams(text, n).count(gram) for gram in omega])
            return h / max(h.sum(), 1) * idf

        for candidate, texts in zip(hypotheses, references, strict=True):
            for text in texts:
                norms = np.linalg.norm(g(candidate)) * np.linalg.norm(g(text))
                if norms > 0:
                    total += g(candidate) @ g(text) / norms / len(texts) / 4
    return 10 * total / len(hypotheses)


@pytest.mark.parametrize(("images", "seed"), [(1, 0), (2, 1), (3, 2), (10, 3), (10, 4), (300, 5)])
def test_captions_like_coco_caption(images, seed):
    hypotheses, references = corpus(images, seed)
    metrics = caption_metrics(hypotheses, references)
    expected = coco(hypotheses, references)
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, rel=0, abs=1e-6)


@pytest.mark.parametrize(
    "hypotheses",
    [
        ["", "", ""],
        ["a", "b", "x"],
        ["a b c d e", "b b a", "c d e f g h"],  # each a reference
        ["a a a a a a a a a a a a", "b b", "c d c d c d c d e f g h"],  # clipped
        ["x y z", "x", "y z"],  # nothing right
    ],
)
def test_odd_captions_like_coco_caption(hypotheses):
    references = [["a b c d e", "a"], ["b b a"], ["c d e f g h", "f", "c d"]]
    metrics = caption_metrics(hypotheses, references)
    expected = coco(hypotheses, references)
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, rel=0, abs=1e-6)


@pytest.mark.parametrize(("images", "seed"), [(2, 6), (10, 7), (20, 8)])
def test_plain_cider_like_the_paper(images, seed):
    hypotheses, references = corpus(images, seed)
    metrics = caption_metrics(hypotheses, references)
    assert metrics["cider"] == pytest.approx(cider_by_the_paper(hypotheses, references), rel=0, abs=1e-6)
    assert metrics["cider_d"] < metrics["cider"]


def test_captions_like_the_references():
    texts = ["a b c d", "e f g h i"]
    metrics = caption_metrics(texts, [[text] for text in texts])
    expected = {"rouge_l": 1, "cider": 10, "cider_d": 10, "distinct_captions": 2, "vocabulary_used": 9}
    expected |= {f"bleu_{order}": 100 for order in range(1, 5)}
    assert metrics == pytest.approx(expected)


def test_bleu_by_hand():
    # Of 2 + 3 words 2 + 2 are right, of 1 + 2 pairs 1 + 0. The closest references have 3 + 2 words, of two as close the
    # shorter: as many as the captions.
    metrics = caption_metrics(["a b", "c x d"], [["a b c", "a b c d"], ["c d", "d c c d"]])
    assert metrics["bleu_1"] == pytest.approx(100 * 4 / 5)
    assert metrics["bleu_2"] == pytest.approx(100 * math.sqrt(4 / 5 * 1 / 3))


def test_rouge_by_hand():
    # The best precision, 3/4, is that of one reference, and the best recall, 2/2, that of another.
    metrics = caption_metrics(["a b c d"], [["a b x c y z", "a d"]])
    assert metrics["rouge_l"] == pytest.approx((1 + 1.2**2) * (3 / 4) * 1 / (1 + 1.2**2 * (3 / 4)))


def test_short_captions_pay_in_bleu():
    metrics = caption_metrics(["a b"], [["a b c d", "a b c d e"]])
    assert metrics["bleu_1"] == pytest.approx(100 * math.exp(1 - 4 / 2))


def test_cider_by_hand():
    # Only single words: each is in one image of two, so that all weigh the same, and only one order of four counts.
    metrics = caption_metrics(["a", "a"], [["a", "b"], ["c"]])
    assert metrics["cider"] == metrics["cider_d"] == pytest.approx(10 * (1 / 4) * (1 / 2) * (1 / 2))
    # "a a": the cosine of single words is 1, its clipped product a half; it is a word longer.
    metrics = caption_metrics(["a a", "x"], [["a"], ["c"]])
    assert metrics["cider"] == pytest.approx(10 * (1 / 4) * (1 / 2))
    assert metrics["cider_d"] == pytest.approx(10 * (1 / 4) * (1 / 2) * (1 / 2) * math.exp(-1 / 72))


def test_one_image_has_no_cider():
    metrics = caption_metrics(["a dog runs"], [["a dog runs"]])
    assert metrics["cider"] == metrics["cider_d"] == 0


def test_empty_captions():
    metrics = caption_metrics(["", "!"], [["a dog"], ["...", ""]])
    assert metrics == {
        **dict.fromkeys(("bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider", "cider_d", "vocabulary_used"), 0),
        "distinct_captions": 1,
    }


def test_case_and_punctuation_do_not_count():
    metrics = caption_metrics(["A dog runs .", "a dog, runs"], [["a Dog runs!"], ["«a dog runs»"]])
    assert metrics["bleu_3"] == pytest.approx(100)
    assert metrics["distinct_captions"] == 1
    assert metrics["vocabulary_used"] == 3


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        (" ' ... '' ", []),
        ("The DOG's 'bone', isn’t it?", ["the", "dog's", "bone", "isn't", "it"]),
        ("snake_case 2-3 50%", ["snake", "case", "2", "3", "50"]),
        ("ÄPFEL: пёс; 나는, हिन्दी।", ["äpfel", "пёс", "나는", "हिन्दी"]),
        ("cafe\u0301", ["cafe\u0301"]),
    ],
)
def test_tokens(text, tokens):
    assert caption_tokens(text) == tokens


@pytest.mark.parametrize(
    ("hypotheses", "references", "message"),
    [
        (["a"], [["a"], ["b"]], "1 captions and 2 lists"),
        ([], [], "There is no caption"),
        (["a", "b"], [["a"], []], "none for the image at index 1"),
    ],
)
def test_captions_that_cannot_be_scored(hypotheses, references, message):
    with pytest.raises(ValueError, match=message):
        caption_metrics(hypotheses, references)


def test_translations():
    references = ["a man sleeps here .", "the dog runs outside ."]
    metrics = translation_metrics(references, references)
    assert metrics["bleu"] == pytest.approx(100)
    assert metrics["chrf"] == pytest.approx(100)
    assert "case:mixed" in metrics["signature"]
    # Of 4 words 3 are right, of 3 pairs 1 and of 2 triples and 1 quadruple none: smoothed, 1/4 and 1/4.
    metrics = translation_metrics(["a man sleeps here"], ["a man walks here"])
    assert metrics["bleu"] == pytest.approx(100 * (3 / 4 * 1 / 3 * 1 / 4 * 1 / 4) ** (1 / 4))


def test_translations_regardless_of_case():
    hypotheses, references = ["A MAN sleeps here"], ["a man sleeps here"]
    assert translation_metrics(hypotheses, references)["bleu"] < 100
    metrics = translation_metrics(hypotheses, references, lowercase=True)
    assert metrics["bleu"] == pytest.approx(100)
    assert "case:lc" in metrics["signature"]


def test_caption_reward():
    """CIDEr-D as `caption_metrics` has it, and BLEU by hand, where the end is a word."""
    references = [["a dog runs here"], ["the cat sleeps", "a cat"], ["two men play"]]
    reward = caption_reward(references)
    ended = [[f"{caption} end" for caption in captions] for captions in references]
    cider_d = caption_metrics(["A dog walks here! end", "", ""], ended)["cider_d"] * 3
    # Of a, dog, walks, here, end: 4 of 5 words, 2 of 4 pairs, no three and no four words are right.
    bleu = (4 / 5 * 3 / 5 * 1 / 4 * 1 / 3) ** (1 / 4)
    assert reward(0, "A dog walks here!") == pytest.approx(cider_d + bleu / 2)
    assert reward(0, "a dog runs") < reward(0, "a dog runs here")
    assert reward(1, "") == pytest.approx(math.exp(1 - 3) / 2 * (1 * 1 * 1 * 1) ** (1 / 4), rel=1e-6)


def test_translations_part_by_part_are_scored_as_a_whole():
    generator = np.random.default_rng(0)
    rows = [[" ".join(generator.choice([*"abcd", "Ab."], 9)) for _ in range(2)] for _ in range(50)]
    hypotheses, references = map(list, zip(*rows, strict=True))
    for lowercase in (False, True):
        metrics = TranslationMetrics(lowercase)
        for part in (slice(0, 1), slice(1, 40), slice(40, 50)):
            metrics.update(hypotheses[part], references[part])
        result, bleu = metrics.result(), BLEU(lowercase=lowercase)
        assert result["bleu"] == bleu.corpus_score(hypotheses, [references]).score
        assert result["chrf"] == CHRF(lowercase=lowercase).corpus_score(hypotheses, [references]).score
        assert result["signature"] == str(bleu.get_signature())


def test_captions_part_by_part_are_scored_as_a_whole():
    hypotheses, references = corpus(30, seed=5)
    metrics = CaptionMetrics(references)
    for part in (slice(0, 1), slice(1, 20), slice(20, 30)):
        metrics.update(hypotheses[part], references[part])
    assert metrics.result() == pytest.approx(caption_metrics(hypotheses, references))
