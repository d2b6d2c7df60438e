"""Captions in scripts without spaces: each character is a word."""

from __future__ import annotations

import pytest

from captioner.metrics.characters import CHARACTERS, PTB, characters, lacks_spaces, tokenizer_for
from captioner.metrics.text import tokenize


@pytest.mark.parametrize(
    ("caption", "tokens"),
    [
        ("一个男人在切面包。", "一 个 男 人 在 切 面 包"),
        ("她用iPhone12拍了「一张」照片，对吧？", "她 用 iphone12 拍 了 一 张 照 片 对 吧"),
        ("犬がボールを追いかけている・公園で", "犬 が ボ ー ル を 追 い か け て い る 公 園 で"),
        ("か\u3099く", "が く"),
        ("ﾊﾟﾝを食べる", "ﾊﾟ ﾝ を 食 べ る"),
        ("人々が〇〇で踊る", "人 々 が 〇 〇 で 踊 る"),
        ("ผู้ชายกำลังทำอาหาร", "ผู้ ช า ย กำ ลั ง ทำ อ า ห า ร"),
        ("ຜູ້ຊາຍ", "ຜູ້ ຊ າ ຍ"),
        ("បុរស", "បុ រ ស"),
        ("ယောက်ျား", "ယော က်ျား"),
        ("𠮷野家 で 食べる", "𠮷 野 家 で 食 べ る"),
        ("남자가 빵을 자른다", "남자가 빵을 자른다"),
        ("A man doesn't cut, or slice, bread.", "a man does n't cut or slice bread"),
        ("  。！ ", ""),
    ],
)
def test_tokens(caption: str, tokens: str) -> None:
    assert characters(caption) == tokens.split()
    assert characters(" ".join(characters(caption))) == characters(caption)


@pytest.mark.parametrize("caption", ["一个男人在切面包", "ผู้ชายกำลังทำอาหาร", "犬が走る", "two dogs"])
def test_they_are_the_words_of_the_same_text_with_spaces(caption: str) -> None:
    assert tokenize(" ".join(characters(caption))) == characters(caption)


@pytest.mark.parametrize(
    ("caption", "lacks"),
    [
        ("一个男人", True),
        ("犬がTシャツを着る", True),
        ("ผู้ชาย", True),
        ("a man in 北京", False),
        ("남자가 빵을", False),
        ("мужчина режет хлеб", False),
        ("123 !", False),
        ("", False),
    ],
)
def test_scripts_without_spaces_are_known(caption: str, lacks: bool) -> None:
    assert lacks_spaces(caption) is lacks
    assert tokenizer_for([caption, caption, "a dog"]) is (CHARACTERS if lacks else PTB)
