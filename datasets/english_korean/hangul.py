"""Korean particles, whose form depends on the last letter of the word to which they are attached."""

_FIRST_SYLLABLE = 0xAC00  # 가; Unicode orders the syllables by initial consonant, vowel and final consonant
_LAST_SYLLABLE = 0xD7A3  # 힣
_FINAL_CONSONANTS = 28  # including none
_RIEUL = 8  # index of ㄹ

# Each particle is "form after a consonant/form after a vowel".
TOPIC = "은/는"
SUBJECT = "이/가"
OBJECT = "을/를"
AND = "과/와"
BY = "으로/로"
IS = "이에요/예요"
WAS = "이었어요/였어요"

_CONTRACTED = {("저", SUBJECT): "제가", ("나", SUBJECT): "내가", ("누구", SUBJECT): "누가"}


def final_consonant(word: str) -> int:
    """Returns the index of the final consonant of a word, 0 if it ends in a vowel.

    Raises:
        ValueError: If the word does not end in a Hangul syllable.

    Example:

    >>> from keras_recurrent.datasets.english_korean.hangul import final_consonant
    >>> final_consonant("책"), final_consonant("사과")
    (1, 0)
    """
    code = ord(word[-1])
    if not _FIRST_SYLLABLE <= code <= _LAST_SYLLABLE:
        raise ValueError(f"{word!r} does not end in a Hangul syllable")
    return (code - _FIRST_SYLLABLE) % _FINAL_CONSONANTS


def attach(word: str, particle: str) -> str:
    """Attaches a particle to a word, in the form that the last letter of the word requires.

    Args:
        word: A Korean word.
        particle: One of the particles of this module.

    Raises:
        ValueError: If the word does not end in a Hangul syllable.

    Example:

    >>> from keras_recurrent.datasets.english_korean.hangul import OBJECT, attach
    >>> attach("책", OBJECT), attach("사과", OBJECT)
    ('책을', '사과를')
    """
    if contracted := _CONTRACTED.get((word, particle)):
        return contracted
    after_consonant, after_vowel = particle.split("/")
    final = final_consonant(word)
    takes_vowel_form = final == 0 or (particle == BY and final == _RIEUL)
    return word + (after_vowel if takes_vowel_form else after_consonant)
