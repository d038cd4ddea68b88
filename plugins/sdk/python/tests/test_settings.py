import json
from typing import ClassVar, Literal

import pytest
from sigbox import Refuse, Strategy


class Every(Strategy):
    fast_period: int = 20
    percent: float = 1
    loud: bool = False
    word: str = "x"
    side: Literal["long", "short"] = "long"
    levels: list[float] = [1, 2.5]
    limit: float | None = None
    needed: int
    constant = 5
    _state: int = 0
    SHARED: ClassVar[int] = 1

    def signal(self, tick):
        return None


def test_defaults_have_the_types_that_were_written():
    every = Every(needed=1)
    assert (every.fast_period, every.percent, every.loud, every.word, every.side) == (20, 1.0, False, "x", "long")
    assert type(every.percent) is float
    assert every.levels == [1.0, 2.5] and every.limit is None and every.needed == 1


def test_a_default_list_is_not_shared():
    Every(needed=1).levels.append(9.0)
    assert Every(needed=1).levels == [1.0, 2.5]


def test_names_are_kebab_case_for_the_operator():
    assert Every(**{"fast-period": 3, "needed": 1}).fast_period == 3
    assert Every(fast_period=4, needed=1).fast_period == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fsat": 1}, "there is no setting fsat; there are: fast-period, percent, loud, word, side, levels, limit, needed"),
        ({"fast-period": "x"}, 'fast-period must be a whole number; found "x"'),
        ({"fast-period": 60.5}, "fast-period must be a whole number; found 60.5"),
        ({"fast-period": True}, "fast-period must be a whole number; found true"),
        ({"percent": "much"}, 'percent must be a number; found "much"'),
        ({"percent": True}, "percent must be a number; found true"),
        ({"loud": 1}, "loud must be true or false; found 1"),
        ({"word": 1}, "word must be a text; found 1"),
        ({"side": "up"}, 'side must be one of "long", "short"; found "up"'),
        ({"levels": 1.0}, "levels must be a list; found 1.0"),
        ({"levels": [1, "x"]}, 'levels must be a number; found "x"'),
        ({"limit": "x"}, 'limit must be a number; found "x"'),
        ({}, "the setting needed is missing, and it has no default"),
        ({"constant": 1}, "there is no setting constant"),
        ({"-state": 1}, "there is no setting -state"),
        ({"self": 1}, "there is no setting self"),
    ],
)
def test_refuses_by_name(settings, message):
    with pytest.raises(Refuse, match="^" + message.replace("[", r"\[")):
        Every(**({} if message.startswith("the setting needed") else {"needed": 1}) | settings)


def test_an_unknown_setting_of_a_strategy_without_any():
    class Bare(Strategy):
        pass

    with pytest.raises(Refuse, match="there is no setting fast; there are none"):
        Bare(fast=1)


def test_schema():
    schema = json.loads(Every.schema())
    assert schema["additionalProperties"] is False and schema["required"] == ["needed"]
    assert schema["properties"]["fast-period"] == {"type": "integer", "default": 20}
    assert schema["properties"]["percent"] == {"type": "number", "default": 1.0}
    assert schema["properties"]["side"] == {"enum": ["long", "short"], "default": "long"}
    assert schema["properties"]["levels"] == {"type": "array", "items": {"type": "number"}, "default": [1.0, 2.5]}
    assert schema["properties"]["limit"] == {"anyOf": [{"type": "number"}, {"type": "null"}], "default": None}
    assert schema["properties"]["needed"] == {"type": "integer"}


def test_a_derived_strategy_has_the_settings_of_its_base():
    class More(Every, interval="5m", version="2.0.0"):
        percent: float = 3.0
        extra: int = 1

    assert [*More.settings] == [*Every.settings, "extra"]
    assert More(needed=1).percent == 3.0 and Every(needed=1).percent == 1.0
    assert (More.name, More.interval, More.version) == ("more", "5m", "2.0.0")
    assert (Every.interval, Every.version) == ("1m", "0.1.0")


@pytest.mark.parametrize(
    ("attribute", "kind", "default", "message"),
    [
        ("when", object, None, "Wrong.when: object is no type of a setting"),
        ("when", list, None, "Wrong.when: list is no type of a setting"),
        ("when", dict[str, int], None, r"Wrong.when: dict\[str, int\] is no type of a setting"),
        ("when", int | str, None, r"Wrong.when: int \| str is no type of a setting"),
        ("when", int, 1.5, "Wrong.when: the default must be a whole number; found 1.5"),
        ("interval", str, "5m", "Wrong.interval: a setting cannot have this name"),
        ("signal", str, "x", "Wrong.signal: a setting cannot have this name"),
    ],
)
def test_a_setting_that_nobody_could_set(attribute, kind, default, message):
    with pytest.raises(TypeError, match=message):
        type("Wrong", (Strategy,), {"__annotations__": {attribute: kind}, attribute: default})


@pytest.mark.parametrize(
    ("name", "kebab"),
    [("SmaCross", "sma-cross"), ("Dip", "dip"), ("RSIDip", "rsi-dip"), ("EMA", "ema"), ("Sma_Cross", "sma-cross")],
)
def test_the_name_of_a_class(name, kebab):
    assert type(name, (Strategy,), {}).name == kebab
