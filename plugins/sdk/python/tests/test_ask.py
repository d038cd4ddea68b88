import math
from decimal import Decimal

import pytest
from sigbox import Quiet, Refuse, Retry, Signal, Strategy, Trade, long, quiet, short
from sigbox.testing import ask, closes, read_csv


class Dip(Strategy, interval="5m"):
    percent: float = 1.0

    def signal(self, tick):
        highs = tick.highs(60)
        if highs and tick.price < max(highs) * (1 - self.percent / 100):
            return long(take_profit=tick.price * 1.02, stop_loss=tick.price * 0.99, minutes=240)
        return None


def test_a_dip_is_bought():
    answers = [said for _, said in ask(Dip(percent=2.0), closes([100.0] * 90 + [90.0] * 10)) if said]
    assert answers and answers[0].position == "long" and answers[0].minutes == 240.0
    assert [said for _, said in ask(Dip(percent=20.0), closes([100.0] * 90 + [90.0] * 10)) if said] == []


def test_it_is_asked_when_it_is_due():
    assert [when % 300_000 for when, _ in ask(Dip(), closes([1.0] * 20))] == [0] * 4
    assert len([*ask(Dip(), closes([1.0] * 20), interval="1m")]) == 20


def says(answer, **more):
    class Says(Strategy):
        def signal(self, tick):
            return answer(tick) if callable(answer) else answer

    return [said for _, said in ask(Says(), closes([100.0] * 3), **more)]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (True, r"signal\(\) must return what long\(...\), short\(...\) or quiet\(...\) make, or None; it returned True"),
        ({"position": "long"}, "it returned {'position': 'long'}"),
        (long(take_profit="much", stop_loss=1.0), "take_profit must be a number; found 'much'"),
        (long(take_profit=1.0, stop_loss=None), "stop_loss must be a number; found None"),
        (long(take_profit=1.0, stop_loss=2.0, minutes="5"), "minutes must be a number; found '5'"),
        (long(take_profit=1.0, stop_loss=2.0, note=5), "note must be a text; found 5"),
        (long(take_profit=1.0, stop_loss=2.0, isolated=1), "isolated must be True, False or None; found 1"),
        (Signal("up", 1.0, 2.0), "position must be \"long\" or \"short\"; found 'up'"),
        (quiet(1.5), "until_ms must be a whole number of milliseconds; found 1.5"),
        (quiet(-1), "until_ms must be a whole number of milliseconds; found -1"),
        (quiet(1, below="x"), "below must be a number; found 'x'"),
        (long(take_profit=1.0, stop_loss=2.0, id="\ud800"), "surrogates not allowed"),
    ],
)
def test_an_answer_that_is_none(answer, message):
    with pytest.raises((TypeError, ValueError), match=message):
        says(answer)


def test_numbers_of_every_kind_become_floats():
    (said, *_) = says(short(take_profit=Decimal("1.5"), stop_loss=2, minutes=math.inf, note="n", id="i", isolated=False))
    assert said == Signal("short", 1.5, 2.0, minutes=math.inf, note="n", id="i", isolated=False)
    assert type(said.stop_loss) is float and type(said.take_profit) is float


def test_a_promise():
    assert says(lambda tick: quiet(tick.when_ms + 60_000, below=99))[0] == Quiet(1_704_067_320_000, 99.0, math.inf)


def test_what_it_raises_comes_out():
    def retry(tick):
        raise Retry("later")

    with pytest.raises(Retry, match="later"):
        says(retry)

    class Refuses(Strategy):
        def start(self):
            raise Refuse("no")

    with pytest.raises(Refuse, match="no"):
        list(ask(Refuses(), []))


def test_it_remembers():
    found = []

    def counts(tick):
        count = tick.remembered("count", 0)
        found.append(count)
        tick.remember("count", count + 1)
        if count == 1:
            tick.forget("count")

    memory = {}
    says(counts, memory=memory)
    assert found == [0, 1, 0] and memory == {"count": b"1"}
    with pytest.raises(Retry, match="16384") as error:
        says(lambda tick: tick.remember("much", "x" * 20_000))
    assert error.value.code == "too-large"
    with pytest.raises(Retry, match="'count' cannot be read"):
        says(lambda tick: tick.remembered("count"), memory={"count": b"{"})


def test_it_sees_its_trades_and_who_it_is():
    trade = Trade("a", "long", 1, 2, 3.0, 4.0, 5.0, 6.0, 7.0, "take_profit")
    assert says(lambda tick: long(take_profit=1, stop_loss=2, note=tick.trades(1)[0].id), trades=[trade])[0].note == "a"
    assert says(lambda tick: long(take_profit=1, stop_loss=2, note=str(len(tick.trades(9)))), trades=[])[0].note == "0"

    class Who(Strategy):
        def start(self):
            assert (self.session.symbol, self.session.strategy, self.session.frame) == ("ETH", "who", None)

        def signal(self, tick):
            assert tick.average_price("BTC") == 7.0

    assert len([*ask(Who(), closes([1.0]), symbol="ETH", others={"BTC": closes([7.0])})]) == 1


def test_reads_a_file(tmp_path):
    path = tmp_path / "candles.csv"
    path.write_text("open_time,open,high,low,close,volume\n1704067200000,1,2,0.5,1.5,10\n2024-01-01T00:01:00Z,1,2,3,4,5\n")
    first, second = read_csv(path)
    assert first == (1704067200000, 1.0, 2.0, 0.5, 1.5, 10.0) and second.open_time_ms == 1704067260000
    path.write_text("open_time,open,high,low,close\n1704067200000,1,2,0.5,1.5\n")
    with pytest.raises(ValueError, match="there is no column 'volume'"):
        read_csv(path)
    path.write_text("open_time,open,high,low,close,volume\n1704067200000,1,2,0.5,1.5,10\n1704067320000,1,2,3,4,5\n")
    with pytest.raises(ValueError, match="line 3: this minute does not follow"):
        read_csv(path)
    path.write_text("open_time,open,high,low,close,volume\n1704067200000,1,x,0.5,1.5,10\n")
    with pytest.raises(ValueError, match="line 2"):
        read_csv(path)
