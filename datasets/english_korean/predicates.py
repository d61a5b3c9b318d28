"""The verbs and adjectives of the grammar, with their forms and the words that fit them."""

from dataclasses import dataclass

from .hangul import OBJECT, SUBJECT
from .lexicon import (
    ANIMALS,
    BOOKS,
    DRINKS,
    FOODS,
    GOODS,
    JOBS,
    MACHINES,
    NOUNS,
    PEOPLE,
    PLACES,
    PLANTS,
    SHEETS,
    SOUNDS,
    STUDIES,
    TRANSPORT,
    WORKS,
    Noun,
    Place,
)


@dataclass(frozen=True, slots=True)
class Conjugation:
    """The forms of a Korean predicate in the polite style, such as 먹, 먹어요, 먹었어요, 먹을.

    Args:
        stem: The stem, to which -지 않아요 (not) and -고 싶어요 (want to) are attached.
        present: The present.
        past: The past.
        prospective: The prospective, which precedes 거예요 (will) and 수 있어요 (can).
        opposite: The predicate that replaces the negation with -지 않아요. Only 있어요 has one, 없어요.
    """

    stem: str
    present: str
    past: str
    prospective: str
    opposite: "Conjugation | None" = None


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb.

    Args:
        english: The English base form.
        past: The English past.
        korean: The Korean forms.
        objects: Objects that fit the verb.
        places: Places that fit the verb.
        particle: Particle of the Korean object.
        generic: Whether the verb refers to its object in general, which is then an English plural: "likes apples".
    """

    english: str
    past: str
    korean: Conjugation
    objects: tuple[Noun, ...] = ()
    places: tuple[Place, ...] = ()
    particle: str = OBJECT
    generic: bool = False


@dataclass(frozen=True, slots=True)
class Adjective:
    """An adjective.

    Args:
        english: The adjective in English.
        korean: The Korean forms.
        nouns: Nouns that fit the adjective.
    """

    english: str
    korean: Conjugation
    nouns: tuple[Noun, ...]


def nouns(names: str) -> tuple[Noun, ...]:
    """Returns the nouns of space-separated English words."""
    return tuple(NOUNS[name] for name in names.split())


def places(names: str) -> tuple[Place, ...]:
    """Returns the places of space-separated names."""
    return tuple(PLACES[name] for name in names.split())


def _verb(
    english: str, past: str, korean: str, objects: tuple[Noun, ...], where: str = "", generic: bool = False
) -> Verb:
    return Verb(english, past, _conjugation(korean), objects, places(where), generic=generic)


def _conjugation(forms: str) -> Conjugation:
    """Returns the conjugation of "stem present past prospective"."""
    stem, present, past, prospective = forms.split()
    return Conjugation(stem, present, past, prospective)


_LACK = Conjugation("없", "없어요", "없었어요", "없을")
EXIST = Conjugation("있", "있어요", "있었어요", "있을", opposite=_LACK)
# 싶다 expresses the wish of the speaker or listener, 싶어 하다 that of anybody else.
WISH_OF_SPEAKERS = Conjugation("싶", "싶어요", "싶었어요", "싶을")
WISH_OF_OTHERS = Conjugation("싶어 하", "싶어 해요", "싶어 했어요", "싶어 할")
NOT = Conjugation("않", "않아요", "않았어요", "않을")

_BELONGINGS = nouns("hat bag umbrella wallet key phone book ticket")
_WARES = nouns("apple orange tomato bread fish flower hat bag umbrella chair bicycle")

ACTIONS = (
    _verb("eat", "ate", "먹 먹어요 먹었어요 먹을", FOODS, "home school restaurant park cafe kitchen"),
    _verb("drink", "drank", "마시 마셔요 마셨어요 마실", DRINKS, "home restaurant cafe office school"),
    _verb(
        "cook",
        "cooked",
        "요리하 요리해요 요리했어요 요리할",
        nouns("egg potato rice meat fish"),
        "home kitchen restaurant",
    ),
    _verb(
        "read",
        "read",
        "읽 읽어요 읽었어요 읽을",
        nouns("book novel magazine letter poem"),
        "home library school cafe park",
    ),
    _verb("write", "wrote", "쓰 써요 썼어요 쓸", nouns("letter poem novel song"), "home library school cafe office"),
    _verb(
        "buy",
        "bought",
        "사 사요 샀어요 살",
        _WARES + BOOKS + nouns("ticket desk clock car"),
        "market store Seoul airport",
    ),
    _verb("sell", "sold", "팔 팔아요 팔았어요 팔", _WARES, "market store station Busan"),
    _verb("watch", "watched", "보 봐요 봤어요 볼", nouns("movie drama"), "home theater classroom library"),
    _verb("meet", "met", "만나 만나요 만났어요 만날", PEOPLE, "park station cafe school library hospital Seoul"),
    _verb("help", "helped", "돕 도와요 도왔어요 도울", PEOPLE, "hospital school farm library airport"),
    _verb("listen to", "listened to", "듣 들어요 들었어요 들을", SOUNDS, "home park cafe gym library"),
    _verb(
        "draw",
        "drew",
        "그리 그려요 그렸어요 그릴",
        nouns("picture map flower tree cat dog bird rabbit horse"),
        "home school park classroom farm",
    ),
    _verb(
        "make",
        "made",
        "만들 만들어요 만들었어요 만들",
        nouns("cake sandwich bread chair desk bag box"),
        "home school store",
    ),
    _verb("study", "studied", "공부하 공부해요 공부했어요 공부할", STUDIES, "home library school university cafe"),
    _verb(
        "learn", "learned", "배우 배워요 배웠어요 배울", (*STUDIES, NOUNS["music"]), "school university library Seoul"
    ),
    _verb(
        "teach",
        "taught",
        "가르치 가르쳐요 가르쳤어요 가르칠",
        (*STUDIES, NOUNS["music"]),
        "school university home Busan",
    ),
    _verb("find", "found", "찾 찾아요 찾았어요 찾을", _BELONGINGS, "home park station library airport classroom"),
    _verb(
        "lose",
        "lost",
        "잃어버리 잃어버려요 잃어버렸어요 잃어버릴",
        _BELONGINGS,
        "park station airport market theater beach",
    ),
    _verb(
        "wait for",
        "waited for",
        "기다리 기다려요 기다렸어요 기다릴",
        TRANSPORT + PEOPLE,
        "station airport school hospital",
    ),
    _verb(
        "use",
        "used",
        "사용하 사용해요 사용했어요 사용할",
        nouns("computer phone dictionary map bicycle"),
        "home office school",
    ),
    _verb(
        "borrow",
        "borrowed",
        "빌리 빌려요 빌렸어요 빌릴",
        BOOKS + nouns("umbrella bicycle computer"),
        "library school office",
    ),
    _verb("catch", "caught", "잡 잡아요 잡았어요 잡을", (*ANIMALS, NOUNS["fish"]), "farm park beach"),
    _verb(
        "fix", "fixed", "고치 고쳐요 고쳤어요 고칠", MACHINES + nouns("clock chair desk"), "home office school store"
    ),
    _verb("open", "opened", "열 열어요 열었어요 열", nouns("door window box bag"), "home school office hospital"),
    _verb("close", "closed", "닫 닫아요 닫았어요 닫을", nouns("door window box bag"), "home school store library"),
    _verb(
        "clean",
        "cleaned",
        "청소하 청소해요 청소했어요 청소할",
        nouns("room window desk car"),
        "home school hospital office",
    ),
)
ACTIVITIES = (
    _verb("sleep", "slept", "자 자요 잤어요 잘", (), "home hospital library classroom"),
    _verb("work", "worked", "일하 일해요 일했어요 일할", (), "office hospital restaurant farm store airport Seoul"),
    _verb("rest", "rested", "쉬 쉬어요 쉬었어요 쉴", (), "home park beach cafe"),
    _verb("swim", "swam", "수영하 수영해요 수영했어요 수영할", (), "pool beach Busan"),
    _verb("run", "ran", "달리 달려요 달렸어요 달릴", (), "park gym beach school"),
    _verb("exercise", "exercised", "운동하 운동해요 운동했어요 운동할", (), "gym park home pool"),
    _verb("dance", "danced", "춤추 춤춰요 춤췄어요 춤출", (), "theater school park beach"),
    _verb("walk", "walked", "걷 걸어요 걸었어요 걸을", (), "park beach farm market"),
    _verb("play", "played", "놀 놀아요 놀았어요 놀", (), "park home beach pool Seoul"),
    _verb("laugh", "laughed", "웃 웃어요 웃었어요 웃을", (), "classroom theater restaurant office"),
    _verb("cry", "cried", "울 울어요 울었어요 울", (), "home theater hospital airport"),
)
GO = Verb("go", "went", Conjugation("가", "가요", "갔어요", "갈"), places=tuple(PLACES.values()))
MOTIONS = (
    GO,
    Verb("come", "came", Conjugation("오", "와요", "왔어요", "올"), places=tuple(PLACES.values())),
    Verb(
        "return", "returned", Conjugation("돌아가", "돌아가요", "돌아갔어요", "돌아갈"), places=tuple(PLACES.values())
    ),
)
_OWNED = BOOKS + GOODS + MACHINES + ANIMALS + nouns("letter picture ticket map apple orange friend")
POSSESSIONS = (
    Verb("have", "had", EXIST, _OWNED, particle=SUBJECT),
    Verb("need", "needed", Conjugation("필요하", "필요해요", "필요했어요", "필요할"), _OWNED, particle=SUBJECT),
)
_LIKED = FOODS + DRINKS + BOOKS + WORKS + ANIMALS + PLANTS + STUDIES + nouns("hat song music bicycle train")
PREFERENCES = (
    _verb("like", "liked", "좋아하 좋아해요 좋아했어요 좋아할", _LIKED, generic=True),
    _verb("hate", "hated", "싫어하 싫어해요 싫어했어요 싫어할", _LIKED, generic=True),
)
BECOME = Verb("become", "became", Conjugation("되", "돼요", "되었어요", "될"), JOBS, particle=SUBJECT)


def _adjective(english: str, korean: str, names: str) -> Adjective:
    return Adjective(english, _conjugation(korean), nouns(names))


ADJECTIVES = (
    _adjective("big", "크 커요 컸어요 클", "apple hat bag desk box room window car dog horse tree"),
    _adjective("small", "작 작아요 작았어요 작을", "apple hat bag chair box room computer cat bird rabbit"),
    _adjective("expensive", "비싸 비싸요 비쌌어요 비쌀", "hat bag clock wallet phone car bicycle coffee meat ticket"),
    _adjective("cheap", "싸 싸요 쌌어요 쌀", "hat umbrella chair computer bicycle coffee bread book ticket"),
    _adjective("heavy", "무겁 무거워요 무거웠어요 무거울", "bag desk box chair computer book dictionary"),
    _adjective("light", "가볍 가벼워요 가벼웠어요 가벼울", "bag box chair umbrella phone bicycle magazine"),
    _adjective(
        "delicious", "맛있 맛있어요 맛있었어요 맛있을", "apple orange cake sandwich bread kimchi fish tea juice"
    ),
    _adjective("pretty", "예쁘 예뻐요 예뻤어요 예쁠", "flower picture hat bag wallet room bird cat"),
    _adjective(
        "interesting", "재미있 재미있어요 재미있었어요 재미있을", "book novel magazine movie drama letter picture"
    ),
    _adjective("difficult", "어렵 어려워요 어려웠어요 어려울", "book novel poem song dictionary map"),
    _adjective("cold", "차갑 차가워요 차가웠어요 차가울", "coffee tea water milk juice bread"),
    _adjective("clean", "깨끗하 깨끗해요 깨끗했어요 깨끗할", "room window desk car hat chair"),
    _adjective("dirty", "더럽 더러워요 더러웠어요 더러울", "room window desk car bag chair"),
    _adjective("long", "길 길어요 길었어요 길", "letter poem novel movie song"),
    _adjective("fast", "빠르 빨라요 빨랐어요 빠를", "car bicycle computer train horse"),
    _adjective("slow", "느리 느려요 느렸어요 느릴", "car bicycle computer bus train"),
    _adjective("cute", "귀엽 귀여워요 귀여웠어요 귀여울", "cat dog bird rabbit pig"),
)

# What exists, and where.
EXISTENCES = (
    (FOODS + DRINKS, places("home kitchen restaurant market store")),
    (ANIMALS, places("home park farm market")),
    (PEOPLE, places("school hospital park station airport library beach")),
    (BOOKS + SHEETS, places("home school library classroom office")),
    (GOODS + MACHINES, places("home school office classroom store")),
    (PLANTS, places("home school park farm hospital")),
    (TRANSPORT, places("station airport")),
)
