"""The nouns, subjects, places and times of the grammar, in both languages."""

from dataclasses import dataclass
from enum import StrEnum


class Tense(StrEnum):
    """The tenses."""

    PAST = "past"
    PRESENT = "present"
    FUTURE = "future"


@dataclass(frozen=True, slots=True)
class Noun:
    """A thing or a person.

    Args:
        english: The noun in English.
        korean: The noun in Korean.
        counter: The Korean word that counts it, such as 권 for books; empty if it is not countable.
        plural: The English plural; by default it is formed regularly.
        measure: The English word that counts it, such as "cup" in "two cups of coffee".
        bare: Whether it takes no article, such as "water" or "the radio".
    """

    english: str
    korean: str
    counter: str = ""
    plural: str = ""
    measure: str = ""
    bare: bool = False


@dataclass(frozen=True, slots=True)
class Subject:
    """The subject of a verb.

    Args:
        english: The subject in English.
        korean: The subject in Korean. It is empty for "you", because a Korean question to the listener omits it.
        person: 1, 2 or 3.
        plural: Whether it is a plural.
    """

    english: str
    korean: str
    person: int = 3
    plural: bool = False


@dataclass(frozen=True, slots=True)
class Determiner:
    """A determiner of a noun: this, my, Minsu's."""

    english: str
    korean: str


@dataclass(frozen=True, slots=True)
class Place:
    """A place.

    Args:
        english: The English phrase for where something happens, such as "at school".
        to: The English phrase for where somebody goes, such as "to school".
        korean: The Korean noun, without a particle.
    """

    english: str
    to: str
    korean: str


@dataclass(frozen=True, slots=True)
class Adverbial:
    """A time or a means of transport: yesterday, by bus. The Korean word for a means has no particle."""

    english: str
    korean: str


SPEAKER = Subject("I", "저", person=1)
LISTENER = Subject("you", "", person=2)
WHO = Subject("who", "누구")

PRONOUNS = (
    SPEAKER,
    Subject("we", "우리", person=1, plural=True),
    Subject("he", "그"),
    Subject("she", "그녀"),
    Subject("they", "그들", plural=True),
)
NAMES = (
    Subject("Minsu", "민수"),
    Subject("Jisu", "지수"),
    Subject("Yuna", "유나"),
    Subject("Hyunjun", "현준"),
    Subject("Sujin", "수진"),
    Subject("Jihun", "지훈"),
)
FAMILY = (
    Subject("my mother", "어머니"),
    Subject("my father", "아버지"),
    Subject("my grandmother", "할머니"),
    Subject("my uncle", "삼촌"),
    Subject("my younger brother", "남동생"),
)
OTHERS = (
    Subject("my friend", "제 친구"),
    Subject("the teacher", "선생님"),
    Subject("the student", "학생"),
    Subject("the doctor", "의사"),
    Subject("the singer", "가수"),
    Subject("the police officer", "경찰관"),
    Subject("the child", "아이"),
    Subject("the children", "아이들", plural=True),
    Subject("the students", "학생들", plural=True),
)
NAMED_SUBJECTS = NAMES + FAMILY + OTHERS
SUBJECTS = PRONOUNS + NAMED_SUBJECTS

DETERMINERS = (
    Determiner("this", "이"),
    Determiner("that", "저"),
    Determiner("my", "제"),
    Determiner("our", "우리"),
    Determiner("his", "그의"),
    Determiner("her", "그녀의"),
    Determiner("their", "그들의"),
    *(Determiner(f"{subject.english}'s", f"{subject.korean}의") for subject in NAMED_SUBJECTS if not subject.plural),
)


def _counted(counter: str, words: str) -> tuple[Noun, ...]:
    """Returns the nouns of "english korean, ...", which share a counter."""
    return tuple(Noun(english, korean, counter) for english, korean in _pairs(words))


def _uncounted(words: str) -> tuple[Noun, ...]:
    return tuple(Noun(english, korean, bare=True) for english, korean in _pairs(words))


def _drinks(measure: str, words: str) -> tuple[Noun, ...]:
    return tuple(Noun(english, korean, "잔", measure=measure, bare=True) for english, korean in _pairs(words))


def _pairs(words: str) -> list[tuple[str, str]]:
    """Splits "english korean, ..." into pairs; the English may contain spaces."""
    pairs = (pair.rpartition(" ") for pair in words.split(", "))
    return [(english, korean) for english, _, korean in pairs]


FOODS = (
    *_counted("개", "apple 사과, banana 바나나, orange 오렌지, egg 계란, potato 감자, tomato 토마토"),
    *_counted("개", "cake 케이크, sandwich 샌드위치"),
    *_uncounted("bread 빵, rice 밥, kimchi 김치, meat 고기, fish 생선"),
)
DRINKS = _drinks("cup", "coffee 커피, tea 차") + _drinks("glass", "water 물, milk 우유, juice 주스, beer 맥주")
BOOKS = _counted("권", "book 책, novel 소설, magazine 잡지, dictionary 사전")
LETTERS = _counted("통", "letter 편지")
SHEETS = _counted("장", "picture 그림, ticket 표, map 지도")
WORKS = _counted("편", "movie 영화, drama 드라마, poem 시")
SOUNDS = (*_counted("곡", "song 노래"), *_uncounted("music 음악, the radio 라디오"))
GOODS = _counted(
    "개", "hat 모자, bag 가방, umbrella 우산, chair 의자, desk 책상, clock 시계, wallet 지갑, key 열쇠, box 상자"
)
OPENINGS = _counted("개", "door 문, window 창문, room 방")
MACHINES = _counted("대", "phone 전화기, computer 컴퓨터, bicycle 자전거, car 자동차")
TRANSPORT = _counted("대", "bus 버스, taxi 택시, train 기차")
PLANTS = (*_counted("송이", "flower 꽃"), *_counted("그루", "tree 나무"))
ANIMALS = _counted("마리", "cat 고양이, dog 개, bird 새, rabbit 토끼, horse 말, cow 소, pig 돼지")
JOBS = _counted(
    "명", "doctor 의사, teacher 선생님, student 학생, singer 가수, nurse 간호사, farmer 농부, lawyer 변호사"
)
PEOPLE = (*JOBS, *_counted("명", "friend 친구"), Noun("child", "아이", "명", plural="children"))
STUDIES = _uncounted("Korean 한국어, English 영어, math 수학, history 역사, science 과학")

_GROUPS = (FOODS, DRINKS, BOOKS, LETTERS, SHEETS, WORKS, SOUNDS, GOODS, OPENINGS, MACHINES, TRANSPORT, PLANTS, ANIMALS)
NOUNS = {noun.english: noun for group in (*_GROUPS, PEOPLE, STUDIES) for noun in group}

PLACES = {
    "home": Place("at home", "home", "집"),
    "school": Place("at school", "to school", "학교"),
    "library": Place("at the library", "to the library", "도서관"),
    "park": Place("in the park", "to the park", "공원"),
    "restaurant": Place("at the restaurant", "to the restaurant", "식당"),
    "cafe": Place("at the cafe", "to the cafe", "카페"),
    "market": Place("at the market", "to the market", "시장"),
    "store": Place("at the store", "to the store", "가게"),
    "hospital": Place("at the hospital", "to the hospital", "병원"),
    "office": Place("at the office", "to the office", "사무실"),
    "station": Place("at the station", "to the station", "역"),
    "airport": Place("at the airport", "to the airport", "공항"),
    "university": Place("at the university", "to the university", "대학교"),
    "kitchen": Place("in the kitchen", "to the kitchen", "부엌"),
    "classroom": Place("in the classroom", "to the classroom", "교실"),
    "theater": Place("at the theater", "to the theater", "극장"),
    "pool": Place("at the pool", "to the pool", "수영장"),
    "gym": Place("at the gym", "to the gym", "체육관"),
    "beach": Place("at the beach", "to the beach", "바닷가"),
    "farm": Place("on the farm", "to the farm", "농장"),
    "Seoul": Place("in Seoul", "to Seoul", "서울"),
    "Busan": Place("in Busan", "to Busan", "부산"),
}

MEANS = (
    Adverbial("by bus", "버스"),
    Adverbial("by taxi", "택시"),
    Adverbial("by train", "기차"),
    Adverbial("by subway", "지하철"),
    Adverbial("by truck", "트럭"),
    Adverbial("by bicycle", "자전거"),
    Adverbial("by car", "자동차"),
)

NUMBERS = (
    "one 한",
    "two 두",
    "three 세",
    "four 네",
    "five 다섯",
    "six 여섯",
    "seven 일곱",
    "eight 여덟",
    "nine 아홉",
    "ten 열",
)
NUMERALS = {value: Adverbial(*words.split()) for value, words in enumerate(NUMBERS, start=1)}
HOURS = tuple(Adverbial(f"at {hour.english} o'clock", f"{hour.korean} 시에") for hour in NUMERALS.values())

_YESTERDAY = Adverbial("yesterday", "어제")
_LAST_WEEK = Adverbial("last week", "지난주에")
_LAST_MONTH = Adverbial("last month", "지난달에")
_LAST_YEAR = Adverbial("last year", "작년에")
_THESE_DAYS = Adverbial("these days", "요즘")
_TOMORROW = Adverbial("tomorrow", "내일")
_NEXT_WEEK = Adverbial("next week", "다음 주에")
_NEXT_MONTH = Adverbial("next month", "다음 달에")
_NEXT_YEAR = Adverbial("next year", "내년에")

# Times of events.
EVENT_TIMES = {
    Tense.PAST: (
        _YESTERDAY,
        _LAST_WEEK,
        _LAST_MONTH,
        Adverbial("last night", "어젯밤에"),
        Adverbial("this morning", "오늘 아침에"),
        Adverbial("last weekend", "지난 주말에"),
    ),
    Tense.PRESENT: (
        _THESE_DAYS,
        Adverbial("every day", "매일"),
        Adverbial("in the morning", "아침에"),
        Adverbial("in the evening", "저녁에"),
        Adverbial("on weekends", "주말에"),
        Adverbial("every Monday", "월요일마다"),
        Adverbial("every Friday", "금요일마다"),
    ),
    Tense.FUTURE: (
        _TOMORROW,
        _NEXT_WEEK,
        _NEXT_MONTH,
        Adverbial("tonight", "오늘 밤에"),
        Adverbial("this weekend", "이번 주말에"),
        Adverbial("tomorrow morning", "내일 아침에"),
    ),
}
# Times of states.
STATE_TIMES = {
    Tense.PAST: (_YESTERDAY, _LAST_WEEK, _LAST_MONTH, _LAST_YEAR),
    Tense.PRESENT: (_THESE_DAYS, Adverbial("now", "지금")),
    Tense.FUTURE: (_TOMORROW, _NEXT_WEEK, _NEXT_MONTH, _NEXT_YEAR),
}
