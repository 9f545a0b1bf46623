"""Names in Chinese, Japanese and Korean texts, and words that begin as a family name does."""

from __future__ import annotations

import pytest

from deid_node.engine.text import Cleaner, Identifiers

_STRANGER = Cleaner(Identifiers.of(()))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("山田太郎 頭部CT", "頭部CT"),
        ("鈴木 一郎 胸部", "胸部"),
        ("王小东 头部平扫", "头部平扫"),
        ("李四光，腹部增强", "腹部增强"),
        ("陈伟 复查", "复查"),
        ("김철수 뇌 MRI", "뇌 MRI"),
        ("田中先生に報告", "に報告"),
        ("患者：王芳 CT", "CT"),
    ],
)
def test_a_name_that_stands_by_itself_goes(text: str, left: str) -> None:
    assert _STRANGER.clean(text)[0] == left


@pytest.mark.parametrize(
    "text",
    [
        *("高血压", "黄疸", "石灰化 病変", "左膝関節", "方位像", "毛细血管瘤", "金属アーチファクト"),
        *("정상 소견", "조영제 투여", "전립선 MRI"),
    ],
)
def test_words_of_medicine_stay_though_they_begin_as_a_family_name(text: str) -> None:
    assert _STRANGER.clean(text) == (text, 0)
