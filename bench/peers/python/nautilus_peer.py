"""nautilus_trader, Python API: a bracket of orders, the first filled at the close of the candle that crossed.

It has slippage by ticks only, so that is charged as a fee.
"""

from decimal import Decimal

from nautilus_trader.backtest.config import BacktestEngineConfig
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.common.config import LoggingConfig
from nautilus_trader.config import StrategyConfig
from nautilus_trader.indicators import SimpleMovingAverage
from nautilus_trader.model.currencies import BTC, USDT
from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide, OrderType, TimeInForce
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import CryptoPerpetual
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.persistence.wranglers import BarDataWrangler
from nautilus_trader.trading.strategy import Strategy

from terms import FAST, FEE, MINUTES, SLIPPAGE, SLOW, STOP_LOSS, TAKE_PROFIT, arguments, report, timed

VENUE = Venue("SIM")
INSTRUMENT = InstrumentId(Symbol("BTCUSDT"), VENUE)
BAR_TYPE = BarType.from_str(f"{INSTRUMENT}-1-MINUTE-LAST-EXTERNAL")


class SmaCrossConfig(StrategyConfig, frozen=True):
    every: int


class SmaCross(Strategy):
    def on_start(self):
        self.instrument = self.cache.instrument(INSTRUMENT)
        self.fast = SimpleMovingAverage(FAST)
        self.slow = SimpleMovingAverage(SLOW)
        self.register_indicator_for_bars(BAR_TYPE, self.fast)
        self.register_indicator_for_bars(BAR_TYPE, self.slow)
        self.was_above = None
        self.held = 0
        self.subscribe_bars(BAR_TYPE)

    def on_bar(self, bar):
        if not self.indicators_initialized():
            return
        above = self.fast.value > self.slow.value
        crossed = self.was_above is not None and above != self.was_above
        self.was_above = above
        if not self.portfolio.is_flat(INSTRUMENT):
            self.held += 1
            if self.held >= MINUTES:
                self.cancel_all_orders(INSTRUMENT)
                self.close_all_positions(INSTRUMENT)
        elif crossed and bar.ts_event // 60_000_000_000 % self.config.every == 0:
            self.held = 0
            self.enter(bar.close.as_double(), OrderSide.BUY if above else OrderSide.SELL)

    def enter(self, close, side):
        towards_profit = 1 if side == OrderSide.BUY else -1
        self.submit_order_list(
            self.order_factory.bracket(
                instrument_id=INSTRUMENT,
                order_side=side,
                quantity=self.instrument.make_qty(1),
                entry_order_type=OrderType.MARKET,
                time_in_force=TimeInForce.GTC,
                tp_price=self.instrument.make_price(close * (1 + towards_profit * TAKE_PROFIT)),
                tp_post_only=False,
                sl_trigger_price=self.instrument.make_price(close * (1 - towards_profit * STOP_LOSS)),
            )
        )


def instrument():
    costs = Decimal(str(FEE + SLIPPAGE))
    return CryptoPerpetual(
        instrument_id=INSTRUMENT,
        raw_symbol=INSTRUMENT.symbol,
        base_currency=BTC,
        quote_currency=USDT,
        settlement_currency=USDT,
        is_inverse=False,
        price_precision=2,
        size_precision=3,
        price_increment=Price.from_str("0.01"),
        size_increment=Quantity.from_str("0.001"),
        margin_init=Decimal("0.01"),
        margin_maint=Decimal("0.01"),
        maker_fee=costs,
        taker_fee=costs,
        ts_event=0,
        ts_init=0,
    )


def main():
    candles, every = arguments()
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    engine.add_venue(VENUE, OmsType.NETTING, AccountType.MARGIN, starting_balances=[Money(1e9, USDT)])
    traded = instrument()
    engine.add_instrument(traded)
    # It times a bar by its close.
    closes = candles.set_index(candles.index.shift(1, "min"))
    engine.add_data(BarDataWrangler(BAR_TYPE, traded).process(closes.tz_localize("UTC")))
    engine.add_strategy(SmaCross(SmaCrossConfig(every=every)))
    _, seconds = timed(engine.run)
    trades = engine.cache.positions_closed_count() + len(engine.cache.position_snapshots())
    report(candles, trades, seconds)


if __name__ == "__main__":
    main()
