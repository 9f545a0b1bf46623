"""Names of persons in Chinese, Japanese and Korean texts, where no capital and often no blank tells a word.

A run of two to five characters that stands by itself is a name when it is made of a family name and a
given name: both of the lists, or a family name of one character before one or two that no word of
medicine has. Titles and introductions mark a name anywhere. PS3.5 H and I for names in these scripts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from deid_node.engine.text_dates import Span
from deid_node.engine.text_fold import fold
from deid_node.engine.text_words import WordLists

_TITLED: Final = re.compile(
    r"[\u3400-\u9fff\uac00-\ud7af]{1,4} ?(?:先生|様|さん|氏|医師|医生|大夫|教授|主任|선생님?|교수)"
)
_INTRODUCED: Final = re.compile(
    r"(?:患者|姓名|氏名|病人|환자|성명|(?i:patient|name|pat\.?)) ?[:：] ?[\u3400-\u9fff\uac00-\ud7af]{2,4}"
)
_RUN: Final = re.compile(r"(?<![^\W\d_])(?:[\u3400-\u9fff]{2,5}|[\uac00-\ud7af]{2,4})(?![^\W\d_])")
_CHINESE_FAMILIES: Final = frozenset(
    "王李张張刘劉陈陳杨楊赵趙黄黃周吴吳徐孙孫胡朱高林何郭马馬罗羅梁宋郑鄭谢謝韩韓唐冯馮董萧程曹袁邓鄧许許傅沈曾彭吕呂苏蘇"
    "卢盧蒋蔣蔡贾賈丁魏薛叶葉阎余潘杜戴夏钟鍾汪田任姜范方石姚谭譚廖邹熊陆陸郝孔崔康毛邱秦江史顾顧侯邵孟龙龍万段钱錢汤湯"
)
_KOREAN_FAMILIES: Final = frozenset(
    "김이박최정강조윤장임한오서신권황안송류전홍고문양손배백허유남심노하곽성차주우구민"
)
# Characters that words of medicine and of reports are made of; a run with one is not taken for a name.
_OF_WORDS: Final = frozenset(
    "部位面側侧左右上下前后後内內外中全片查検検查扫描影像造増增强平常规規腹胸頭头颈頸脑脳腦肺肝胆膽胰脾肾腎心骨盆腔腰椎関关節节膝肩足手腕肘踝髋股"
    "肢体體皮血管脈脉動动静靜腫肿瘤炎症病癌変变化性期線线術术者歳岁男女無无有見见異异所未不可的了与和或及为因疑似再复復経经過过観观察確确認认"
    "検診诊断斷結结果報报告医醫院科室号號日月年時时分秒次回度高低長长短疸疹疡斑体圧压灰膏围圍尾蹄向属屬物质質量度率比値值軟软硬水气氣出液痛折裂脱"
    "位置法式型形状狀縁缘壁膜腺乳房甲宮宫卵巣巢精子胎児儿孕産产尿道膀胱胃腸肠食管口鼻耳眼目舌喉咽气支眼底"
)
_NO_KOREAN_NAMES: Final = frozenset(
    "이상 정상 이전 이후 최근 조영 전신 하지 상지 한쪽 양쪽 오른 오른쪽 심장 신장 폐암 간암 "
    "유방 유두 전립선 조직 서명 안면 안구 문진 고관절 성인 남성 여성 주의 주사 배뇨 장기 "
    "장폐색 임신 임상 강조 황달 백혈병 차이 하악 구강 손목 손가락 전두엽 고혈압 심전도 전이 "
    "양성 유리 하복부 상복부 이비인후과 정형외과 신경외과 신경과 심혈관 조영제 조영증강 전후면 "
    "정면 정밀 이완기 고해상도 차트 유방촬영 배경".split()
)


def eastern_names(text: str, lists: WordLists) -> Iterator[Span]:
    """Find names after a title or an introduction, and runs that are a family name with a given name."""
    for pattern in (_TITLED, _INTRODUCED):
        for match in pattern.finditer(text):
            yield match.span()
    before: re.Match[str] | None = None
    for match in _RUN.finditer(text):
        beside = before is not None and text[before.end() : match.start()] in (" ", "\u3000")
        if _is_name(match[0], lists) or (beside and _may_be_given(match[0], lists)):
            yield match.span()
            before = match if not beside else None
        else:
            before = None


def _may_be_given(run: str, lists: WordLists) -> bool:
    return len(run) <= 3 and not lists.is_known_word(fold(run)) and _OF_WORDS.isdisjoint(run)


def _is_name(run: str, lists: WordLists) -> bool:
    if lists.is_known_word(fold(run)):
        return False
    if fold(run) in lists.names:
        return True
    for at in range(1, len(run)):
        family, given = run[:at], run[at:]
        of_list = fold(family) in lists.names or (at == 1 and family in _CHINESE_FAMILIES | _KOREAN_FAMILIES)
        if of_list and fold(given) in lists.names:
            return True
    if run[0] in _KOREAN_FAMILIES:
        return len(run) == 3 and run not in _NO_KOREAN_NAMES
    return run[0] in _CHINESE_FAMILIES and len(run) <= 3 and _OF_WORDS.isdisjoint(run[1:])
