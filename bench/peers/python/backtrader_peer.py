"""backtrader: a bracket of orders, the first of which is filled at the next candle's opening price."""

import backtrader

from terms import FAST, FEE, MINUTES, SLIPPAGE, SLOW, STOP_LOSS, TAKE_PROFIT, arguments, report, timed


class SmaCross(backtrader.Strategy):
    params = {"every": 1}

    def __init__(self):
        fast = backtrader.indicators.SimpleMovingAverage(self.data.close, period=FAST)
        slow = backtrader.indicators.SimpleMovingAverage(self.data.close, period=SLOW)
        self.cross = backtrader.indicators.CrossOver(fast, slow)
        self.bracket = []
        self.opened = None
        self.trades = 0

    def next(self):
        if self.position:
            if self.opened is None:
                self.opened = len(self)
            if len(self) - self.opened >= MINUTES and self.bracket:
                # What is left of the bracket would be filled beside the order that closes.
                for order in self.bracket[1:]:
                    self.cancel(order)
                self.bracket = []
                self.close()
            return
        self.opened = None
        if any(order.alive() for order in self.bracket):
            return
        if self.params.every > 1 and (self.data.datetime.datetime(0).minute + 1) % self.params.every:
            return
        if self.cross[0] > 0:
            self.bracket = self.enter(self.buy_bracket, 1)
        elif self.cross[0] < 0:
            self.bracket = self.enter(self.sell_bracket, -1)

    def enter(self, bracket, towards_profit):
        close = self.data.close[0]
        return bracket(
            exectype=backtrader.Order.Market,
            limitprice=close * (1 + towards_profit * TAKE_PROFIT),
            stopprice=close * (1 - towards_profit * STOP_LOSS),
        )

    def notify_trade(self, trade):
        self.trades += trade.isclosed


def main():
    candles, every = arguments()
    cerebro = backtrader.Cerebro(stdstats=False)
    cerebro.adddata(backtrader.feeds.PandasData(dataname=candles))
    cerebro.addstrategy(SmaCross, every=every)
    cerebro.broker.setcash(1e9)
    cerebro.broker.setcommission(commission=FEE)
    cerebro.broker.set_slippage_perc(SLIPPAGE)
    (strategy,), seconds = timed(cerebro.run)
    report(candles, strategy.trades, seconds)


if __name__ == "__main__":
    main()
