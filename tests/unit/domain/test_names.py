"""The rule by which names are compared."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pizza.domain.names import fold_name

FORMS = ("NFC", "NFD")
# Many letters that have several forms: Latin, Greek, Cyrillic, ligatures, combining marks.
letters = st.text(
    st.characters(max_codepoint=0x5FF)
    | st.characters(min_codepoint=0x1E00, max_codepoint=0x1FFF)
    | st.characters(min_codepoint=0xFB00, max_codepoint=0xFB06)
    | st.sampled_from("\u0345\u0307\u0301\u0308 \u00a0\u3000İıßẞſςΣK")
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Éclair", "éclair"),
        ("Crème brûlée", unicodedata.normalize("NFD", "CRÈME BRÛLÉE")),
        ("ΜΟΥΣΑΚΑΣ", "μουσακας"),
        ("ЩИ", "щи"),
        ("İskender", unicodedata.normalize("NFD", "İSKENDER")),
        ("Pad  Thai", "Pad Thai"),
        (" Soup\u00a0", "soup"),
        ("Weißwurst", "WEIẞWURST"),
        ("Weißwurst", "WEISSWURST"),
    ],
)
def test_case_spaces_and_unicode_form_make_no_other_name(one: str, other: str) -> None:
    assert fold_name(one) == fold_name(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Eclair", "Éclair"), ("ısı", "isi"), ("PadThai", "Pad Thai"), ("Ann Lee", "Ann Leigh")],
)
def test_other_letters_are_another_name(one: str, other: str) -> None:
    assert fold_name(one) != fold_name(other)


@given(letters)
def test_a_key_is_its_own_key(name: str) -> None:
    assert fold_name(fold_name(name)) == fold_name(name)


@given(letters)
def test_canonically_equivalent_names_have_one_key(name: str) -> None:
    assert len({fold_name(unicodedata.normalize(form, name)) for form in FORMS}) == 1


def test_no_character_has_a_key_that_has_another_key() -> None:
    for code in range(0x110000):
        name = chr(code)
        assert fold_name(fold_name(name)) == fold_name(name), hex(code)
        assert fold_name(unicodedata.normalize("NFD", name)) == fold_name(name), hex(code)
