"""backtesting.py: a market order with take-profit and stop-loss, filled at the next candle's opening price."""

import pandas
from backtesting import Backtest, Strategy

from terms import FAST, FEE, MINUTES, SLIPPAGE, SLOW, STOP_LOSS, TAKE_PROFIT, arguments, looks, report, timed


def mean(values, count):
    return pandas.Series(values).rolling(count).mean()


class SmaCross(Strategy):
    looks = None

    def init(self):
        self.fast = self.I(mean, self.data.Close, FAST)
        self.slow = self.I(mean, self.data.Close, SLOW)

    def next(self):
        candle = len(self.data) - 1
        if self.position:
            # The order was filled at the opening of the candle the trade names.
            if candle - self.trades[0].entry_bar >= MINUTES:
                self.position.close()
            return
        if not self.looks[candle] or self.orders:
            return
        was_above, above = (self.fast[place] > self.slow[place] for place in (-2, -1))
        close = self.data.Close[-1]
        if above and not was_above:
            self.buy(size=1, tp=close * (1 + TAKE_PROFIT), sl=close * (1 - STOP_LOSS))
        elif was_above and not above:
            self.sell(size=1, tp=close * (1 - TAKE_PROFIT), sl=close * (1 + STOP_LOSS))


def main():
    candles, every = arguments()
    SmaCross.looks = looks(candles, every)
    data = candles.rename(columns=str.capitalize)
    backtest = Backtest(data, SmaCross, cash=1e9, commission=FEE + SLIPPAGE)
    result, seconds = timed(backtest.run)
    report(candles, result["# Trades"], seconds)


if __name__ == "__main__":
    main()
