"""The English-Korean grammar, its splits, and the TFDS data set built from them."""

import collections
import dataclasses
import hashlib
import os
import subprocess
import sys

import pytest
from keras_recurrent.datasets.english_korean import grammar, lexicon, predicates
from keras_recurrent.datasets.english_korean.english import counted, plural, third_person
from keras_recurrent.datasets.english_korean.hangul import AND, BY, IS, OBJECT, SUBJECT, TOPIC, WAS, attach
from keras_recurrent.datasets.english_korean.lexicon import LISTENER, NOUNS, PLACES, SPEAKER, WHO, Tense
from keras_recurrent.datasets.english_korean.sampling import Sampler
from keras_recurrent.datasets.english_korean.sentence import Kind, Mood, Question, Sentence

PAST, PRESENT, FUTURE = Tense.PAST, Tense.PRESENT, Tense.FUTURE
SUBJECTS = {subject.english: subject for subject in lexicon.SUBJECTS}
_EVENTS = predicates.ACTIONS + predicates.ACTIVITIES + predicates.MOTIONS
_STATES = predicates.POSSESSIONS + predicates.PREFERENCES
VERBS = {verb.english: verb for verb in (*_EVENTS, *_STATES, predicates.BECOME)}
ADJECTIVES = {adjective.english: adjective for adjective in predicates.ADJECTIVES}
DETERMINERS = {determiner.english: determiner for determiner in lexicon.DETERMINERS}
MEANS = {means.english: means for means in lexicon.MEANS}
TIMES = {
    time.english: time
    for times in (*lexicon.EVENT_TIMES.values(), *lexicon.STATE_TIMES.values(), lexicon.HOURS)
    for time in times
}


@pytest.mark.parametrize(
    ("particle", "expected"),
    [
        (TOPIC, "사과는 책은 물은 지훈은 저는"),
        (SUBJECT, "사과가 책이 물이 지훈이 제가"),
        (OBJECT, "사과를 책을 물을 지훈을 저를"),
        (AND, "사과와 책과 물과 지훈과 저와"),
        (BY, "사과로 책으로 물로 지훈으로 저로"),
        (IS, "사과예요 책이에요 물이에요 지훈이에요 저예요"),
        (WAS, "사과였어요 책이었어요 물이었어요 지훈이었어요 저였어요"),
    ],
)
def test_particles_follow_the_last_letter(particle, expected):
    assert [attach(word, particle) for word in ("사과", "책", "물", "지훈", "저")] == expected.split()


def test_particles_of_more_words():
    pairs = "버스 버스로, 트럭 트럭으로, 지하철 지하철로, 부엌 부엌으로, 서울 서울로, 값 값으로, 삶 삶으로"
    by = dict(pair.split() for pair in pairs.split(", "))
    assert {word: attach(word, BY) for word in by} == by
    assert attach("나", SUBJECT) == "내가"
    assert attach("누구", SUBJECT) == "누가"
    assert attach("우리", SUBJECT) == "우리가"
    assert attach("가", OBJECT) == "가를"  # the first syllable of Unicode
    assert attach("힣", OBJECT) == "힣을"  # and the last
    with pytest.raises(ValueError, match="Hangul"):
        attach("book", OBJECT)


def parsed(kind, tense, verb=None, subjects="", objects="", time=None, place=None, **rest):
    """Returns a structured sentence from English words, with "+" between two subjects or objects."""
    special = {"I": SPEAKER, "you": LISTENER, "who": WHO}
    return Sentence(
        kind=Kind(kind),
        tense=tense,
        verb=VERBS[verb] if verb else None,
        subjects=tuple(special.get(name) or SUBJECTS[name] for name in subjects.split("+") if name),
        objects=tuple(NOUNS[name] for name in objects.split("+") if name),
        time=TIMES[time] if time else None,
        place=PLACES[place] if place else None,
        **rest,
    )


YES_NO = Question.YES_NO
BIG = ADJECTIVES["big"]
I_CAME_HOME = parsed("circumstance", PAST, "come", "I", place="home")
SENTENCES = [
    parsed("action", PAST, "read", "the teacher", "book", "yesterday", "library", number=2),
    parsed("action", PRESENT, "eat", "she", "orange", "every day"),
    parsed("action", FUTURE, "buy", "I", "apple", "tomorrow", "market", number=3),
    parsed("action", PRESENT, "drink", "Minsu", "milk", "at one o'clock", number=1, negated=True),
    parsed("action", PRESENT, "drink", "they", "coffee", number=2, negated=True),
    parsed("action", FUTURE, "write", "my mother", "letter", negated=True),
    parsed("action", PAST, "listen to", "you", "the radio", "last night", question=YES_NO),
    parsed("action", PRESENT, "meet", "the students", "child", place="station", question=YES_NO, number=5),
    parsed("pair", PAST, "make", "Minsu+Sujin", "cake"),
    parsed("pair", PRESENT, "buy", "Jihun+Minsu", "bread", question=YES_NO),
    parsed("pair", PAST, "eat", "he", "bread+apple"),
    parsed("activity", FUTURE, "swim", "my friend", time="this weekend", place="pool", companion=SUBJECTS["Hyunjun"]),
    parsed("motion", PAST, "go", "we", time="last week", place="Seoul", means=MEANS["by subway"]),
    parsed("motion", PRESENT, "go", "Yuna", place="home", means=MEANS["by truck"]),
    parsed("wish", PRESENT, "learn", "she", "Korean", mood=Mood.WISH),
    parsed("wish", PAST, "learn", "I", "Korean", mood=Mood.WISH, negated=True),
    parsed("wish", PRESENT, "go", "you", "", "tomorrow", "beach", mood=Mood.WISH, question=YES_NO),
    parsed("ability", PRESENT, "fix", "my uncle", "bicycle", mood=Mood.ABILITY, negated=True),
    parsed("ability", PAST, "help", "the doctor", "child", mood=Mood.ABILITY, question=YES_NO),
    parsed("existence", PRESENT, None, "", "cat", "now", "park", number=3),
    parsed("existence", PAST, None, "", "water", None, "kitchen", negated=True),
    parsed("existence", PRESENT, None, "", "box", None, "home", question=YES_NO),
    parsed("possession", PRESENT, "have", "my father", "car", number=2),
    parsed("possession", PAST, "have", "we", "key", negated=True),
    parsed("possession", PRESENT, "need", "he", "umbrella", negated=True),
    parsed("preference", PRESENT, "like", "the singer", "potato+fish"),
    parsed("identity", PRESENT, None, "I", "nurse"),
    parsed("identity", PRESENT, None, "Yuna", "singer", negated=True),
    parsed("identity", PAST, None, "they", "student", question=YES_NO),
    parsed("identity", FUTURE, "become", "Minsu", "teacher", "next year"),
    parsed("description", PRESENT, None, "", "room", determiner=DETERMINERS["my"], adjective=BIG, negated=True),
    parsed("description", FUTURE, None, "", "bag", determiner=DETERMINERS["Jisu's"], adjective=ADJECTIVES["heavy"]),
    parsed("who", PRESENT, "wait for", "who", "bus", place="station", question=Question.WHO),
    parsed("what", PRESENT, "study", "Sujin", "", "in the evening", question=Question.WHAT),
    parsed("where", PAST, "find", "the child", "wallet", "yesterday", question=Question.WHERE),
    parsed("where", FUTURE, "go", "you", "", "tomorrow", question=Question.WHERE),
    parsed("when", PAST, "come", "he", place="home", question=Question.WHEN),
    parsed("circumstance", PAST, "read", "Minsu", "book", clause=I_CAME_HOME),
]
EXPECTED = """
The teacher read two books at the library yesterday. | 선생님은 어제 도서관에서 책 두 권을 읽었어요.
She eats an orange every day. | 그녀는 매일 오렌지를 먹어요.
I will buy three apples at the market tomorrow. | 저는 내일 시장에서 사과 세 개를 살 거예요.
Minsu does not drink one glass of milk at one o'clock. | 민수는 한 시에 우유 한 잔을 마시지 않아요.
They do not drink two cups of coffee. | 그들은 커피 두 잔을 마시지 않아요.
My mother will not write a letter. | 어머니는 편지를 쓰지 않을 거예요.
Did you listen to the radio last night? | 어젯밤에 라디오를 들었어요?
Do the students meet five children at the station? | 학생들은 역에서 아이 다섯 명을 만나요?
Minsu and Sujin made a cake. | 민수와 수진은 케이크를 만들었어요.
Do Jihun and Minsu buy bread? | 지훈과 민수는 빵을 사요?
He ate bread and an apple. | 그는 빵과 사과를 먹었어요.
My friend will swim at the pool with Hyunjun this weekend. | 제 친구는 이번 주말에 현준과 함께 수영장에서 수영할 거예요.
We went to Seoul by subway last week. | 우리는 지난주에 지하철로 서울에 갔어요.
Yuna goes home by truck. | 유나는 트럭으로 집에 가요.
She wants to learn Korean. | 그녀는 한국어를 배우고 싶어 해요.
I did not want to learn Korean. | 저는 한국어를 배우고 싶지 않았어요.
Do you want to go to the beach tomorrow? | 내일 바닷가에 가고 싶어요?
My uncle cannot fix a bicycle. | 삼촌은 자전거를 고칠 수 없어요.
Could the doctor help a child? | 의사는 아이를 도울 수 있었어요?
There are three cats in the park now. | 지금 공원에 고양이 세 마리가 있어요.
There was no water in the kitchen. | 부엌에 물이 없었어요.
Is there a box at home? | 집에 상자가 있어요?
My father has two cars. | 아버지는 자동차 두 대가 있어요.
We did not have a key. | 우리는 열쇠가 없었어요.
He does not need an umbrella. | 그는 우산이 필요하지 않아요.
The singer likes potatoes and fish. | 가수는 감자와 생선을 좋아해요.
I am a nurse. | 저는 간호사예요.
Yuna is not a singer. | 유나는 가수가 아니에요.
Were they students? | 그들은 학생이었어요?
Minsu will become a teacher next year. | 민수는 내년에 선생님이 될 거예요.
My room is not big. | 제 방은 크지 않아요.
Jisu's bag will be heavy. | 지수의 가방은 무거울 거예요.
Who waits for a bus at the station? | 누가 역에서 버스를 기다려요?
What does Sujin study in the evening? | 수진은 저녁에 무엇을 공부해요?
Where did the child find a wallet yesterday? | 아이는 어제 어디에서 지갑을 찾았어요?
Where will you go tomorrow? | 내일 어디에 갈 거예요?
When did he come home? | 그는 언제 집에 왔어요?
Minsu read a book when I came home. | 제가 집에 왔을 때 민수는 책을 읽었어요.
"""
TRANSLATIONS = [
    (sentence, *line.split(" | ")) for sentence, line in zip(SENTENCES, EXPECTED.strip().splitlines(), strict=True)
]


@pytest.mark.parametrize(("sentence", "english", "korean"), TRANSLATIONS, ids=[row[1] for row in TRANSLATIONS])
def test_translations(sentence, english, korean):
    assert grammar.english(sentence) == english
    assert grammar.korean(sentence) == korean


def test_the_translations_above_have_every_type():
    assert {sentence.kind for sentence, _, _ in TRANSLATIONS} == set(Kind)


def test_third_person():
    verbs = ["go", "watch", "wait_for", "study", "buy", "fix", "have", "teach", "want_to_eat"]
    forms = ["goes", "watches", "waits_for", "studies", "buys", "fixes", "has", "teaches", "wants_to_eat"]
    assert [third_person(verb.replace("_", " ")) for verb in verbs] == [form.replace("_", " ") for form in forms]


def test_plurals():
    plurals = {"tomato": "tomatoes", "box": "boxes", "child": "children", "bus": "buses", "dictionary": "dictionaries"}
    plurals |= {"key": "keys", "potato": "potatoes"}
    assert {noun: plural(NOUNS[noun]) for noun in plurals} == plurals
    assert counted(NOUNS["milk"], 1) == "one glass of milk"
    assert counted(NOUNS["milk"], 2) == "two glasses of milk"


@pytest.fixture(scope="module")
def splits():
    return {split: grammar.pairs(split) for split in grammar.SIZES}


def test_sizes_and_types(splits):
    assert {split: len(pairs) for split, pairs in splits.items()} == {"train": 20000, "validation": 1000, "test": 1000}
    for split, pairs in splits.items():
        counts = collections.Counter(sentence.kind for sentence in grammar.sentences(split))
        assert set(counts) == set(Kind)
        assert max(counts.values()) - min(counts.values()) <= 1
        assert len(pairs) == len(grammar.sentences(split))


def test_no_pair_is_in_two_splits_or_twice(splits):
    everything = [pair for pairs in splits.values() for pair in pairs]
    assert len(set(everything)) == len(everything) >= 20_000


def test_each_language_determines_the_other(splits):
    # The splits omit duplicates, so these sentences are drawn without them.
    sampler = Sampler(seed=7)
    sentences = [sampler.sentence(kind) for kind in Kind for _ in range(250)]
    pairs = {(grammar.english(sentence), grammar.korean(sentence)) for sentence in sentences}
    pairs.update(*splits.values())
    for side in (0, 1):
        counts = collections.Counter(pair[side] for pair in pairs)
        assert [text for text, count in counts.items() if count > 1] == []


def test_a_present_that_reads_as_past_is_never_drawn():
    sampler = Sampler(seed=3)
    for _ in range(5000):
        sentence = sampler.sentence(Kind.ACTION)
        if sentence.verb.english == "read" and sentence.tense == PRESENT:
            subject = sentence.subjects[0]
            assert sentence.negated or sentence.question or (subject.person == 3 and not subject.plural)


def test_texts_are_well_formed(splits):
    for pairs in splits.values():
        for english, korean in pairs:
            assert english[0].isupper()
            assert english[-1] == korean[-1]
            assert english[-1] in ".?"
            assert "  " not in english + korean
            assert english == english.strip()
            assert korean == korean.strip()
            assert korean.endswith(("요.", "요?"))
            assert english.isascii()
            assert all("가" <= letter <= "힣" or letter in " .?" for letter in korean)


def test_who_acts_is_not_asked_of_the_speaker_or_told_to_the_listener():
    for split in grammar.SIZES:
        for sentence in grammar.sentences(split):
            assert not (sentence.question and SPEAKER in sentence.subjects)
            assert sentence.question or LISTENER not in sentence.subjects


def test_combinations():
    sentence, _, _ = TRANSLATIONS[0]
    assert grammar.combinations(sentence) == {("read", "the teacher"), ("read", "book"), ("read", "at the library")}
    circumstance, _, _ = TRANSLATIONS[-1]
    expected = {("read", "Minsu"), ("read", "book"), ("come", "I"), ("come", "at home")}
    assert grammar.combinations(circumstance) == expected
    identity = parsed("identity", PRESENT, None, "I", "nurse")
    assert grammar.combinations(identity) == {("nurse", "I")}


def test_training_has_no_held_out_combination_and_every_test_sentence_has_one():
    for split in ("train", "validation"):
        for sentence in grammar.sentences(split):
            assert not any(map(grammar.is_held_out, grammar.combinations(sentence)))
    for sentence in grammar.sentences("test"):
        assert any(map(grammar.is_held_out, grammar.combinations(sentence)))


def test_no_test_sentence_is_covered_by_the_combinations_of_training():
    trained = set().union(*map(grammar.combinations, grammar.sentences("train")))
    tested = [grammar.combinations(sentence) for sentence in grammar.sentences("test")]
    assert all(combinations - trained for combinations in tested)
    assert len(set().union(*tested) - trained) > 100


@pytest.mark.parametrize("side", [0, 1])
def test_training_has_every_word_of_the_test(splits, side):
    def counts(split):
        return collections.Counter(word for pair in splits[split] for word in set(grammar.words(pair[side])))

    trained = counts("train")
    assert min(trained[word] for word in counts("test")) >= 5


def test_training_has_every_word_of_the_lexicon(splits):
    trained = {word.lower() for english, _ in splits["train"] for word in grammar.words(english)}
    lexicon_words = {word.lower() for noun in NOUNS for word in noun.split()}
    lexicon_words |= {word for verb in VERBS for word in verb.split()} | set(ADJECTIVES)
    lexicon_words |= {word.lower() for place in PLACES.values() for word in place.english.split()}
    assert lexicon_words <= trained


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match="train, validation, test"):
        grammar.sentences("dev")


# If the digest changes, the data set changes, and the builder needs another version.
DIGEST = "d10ba3d264d8b3fa0c7ec7d185f9b4d1cf07b3c697419ce08a0657a53601468a"


def test_the_data_is_the_same_in_every_version(splits):
    assert hashlib.sha256(repr(list(splits.values())).encode()).hexdigest() == DIGEST


SAMPLES = """
import sys
from keras_recurrent.datasets.english_korean import grammar, sampling
sampler = sampling.Sampler(1)
print([grammar.korean(sampler.sentence(kind)) for kind in grammar.Kind for _ in range(20)])
print("tensorflow" in sys.modules)
"""


def test_sentences_are_the_same_in_every_process_and_need_no_tensorflow():
    environments = [os.environ | {"PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"} for seed in ("0", "12345")]
    first, second = (
        subprocess.run([sys.executable, "-c", SAMPLES], env=environment, capture_output=True, text=True, check=True)
        for environment in environments
    )
    assert first.stdout == second.stdout
    assert first.stdout.endswith("]\nFalse\n")


def test_two_samplers_of_a_seed_agree_and_of_two_seeds_do_not():
    def drawn(seed):
        sampler = Sampler(seed)
        return [dataclasses.astuple(sampler.sentence(kind)) for kind in Kind]

    assert drawn(1) == drawn(1) != drawn(2)


@pytest.mark.parametrize("size", [50, pytest.param(None, marks=pytest.mark.rest)])
def test_the_data_set_holds_the_pairs(size, splits, tmp_path, monkeypatch):
    from keras_recurrent.datasets.english_korean.english_korean_dataset_builder import Builder

    splits = {split: pairs[:size] for split, pairs in splits.items()}
    monkeypatch.setattr(grammar, "pairs", splits.get)
    builder = Builder(data_dir=tmp_path)
    assert builder.name == "english_korean"
    assert builder.info.supervised_keys == ("en", "ko")
    builder.download_and_prepare()
    for split, pairs in splits.items():
        rows = builder.as_dataset(split=split, batch_size=len(pairs), as_supervised=True)
        ((english, korean),) = rows.as_numpy_iterator()
        read = [(source.decode(), target.decode()) for source, target in zip(english, korean, strict=True)]
        assert builder.info.splits[split].num_examples == len(read) == len(pairs)
        assert set(read) == set(pairs)
