"""Korean particles, whose form depends on the last letter of the word that they are attached to."""

_FIRST_SYLLABLE = 0xAC00  # 가; Unicode orders the syllables by first consonant, then vowel, then final consonant.
_LAST_SYLLABLE = 0xD7A3  # 힣
_FINAL_CONSONANTS = 28  # "none" and the 27 others
_RIEUL = 8  # ㄹ among them

# A particle is written "form after a consonant/form after a vowel".
TOPIC = "은/는"
SUBJECT = "이/가"
OBJECT = "을/를"
AND = "과/와"
BY = "으로/로"
IS = "이에요/예요"
WAS = "이었어요/였어요"

_CONTRACTED = {("저", SUBJECT): "제가", ("나", SUBJECT): "내가", ("누구", SUBJECT): "누가"}


def final_consonant(word: str) -> int:
    """Returns the number of the word's last consonant, 0 where it ends in a vowel: 책 gives 1, 사과 gives 0."""
    code = ord(word[-1])
    if not _FIRST_SYLLABLE <= code <= _LAST_SYLLABLE:
        raise ValueError(f"{word!r} does not end in a Hangul syllable")
    return (code - _FIRST_SYLLABLE) % _FINAL_CONSONANTS


def attach(word: str, particle: str) -> str:
    """Returns the word with the form of the particle that fits it: attach("책", OBJECT) is 책을."""
    if contracted := _CONTRACTED.get((word, particle)):
        return contracted
    after_consonant, after_vowel = particle.split("/")
    final = final_consonant(word)
    takes_vowel_form = final == 0 or (particle == BY and final == _RIEUL)
    return word + (after_vowel if takes_vowel_form else after_consonant)
