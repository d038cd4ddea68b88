// Package sigbox is for strategies in Go. A strategy is a struct with a method Signal:
//
//	type dip struct {
//		Percent float64 `doc:"how far below the highest price of the last hour it buys"`
//	}
//
//	func (d *dip) Signal(t *sigbox.Tick) (*sigbox.Signal, error) {
//		highs, err := t.Candles.Highs(60)
//		if highs == nil || t.Price > sigbox.Highest(highs)*(1-d.Percent/100) {
//			return nil, err
//		}
//		return &sigbox.Signal{TakeProfit: t.Price * 1.02, StopLoss: t.Price * 0.99, Minutes: sigbox.Some(240.0)}, nil
//	}
//
//	func init() {
//		sigbox.Export(sigbox.Info{Name: "dip", Version: "0.1.0", Interval: "5m"}, &dip{Percent: 1})
//	}
//
//	func main() {}
//
// It is built with GOOS=wasip1 GOARCH=wasm and -buildmode=c-shared. Without them, `go test` runs it natively: see [Ask]
// and [Test].
package sigbox

import "math"

// Strategy trades one symbol. Its exported fields are its settings: see [Export].
type Strategy interface {
	// Signal says whether to trade now; nil for no. It is called once per due interval while the symbol is flat. What must
	// not be forgotten has to follow from the candles or be remembered: after a restart a fresh value answers.
	//
	// An error says that there is no answer. The strategy is asked again, unless the error is a [Failure] that gives up. A
	// panic is an error too, with the lines of the strategy that led to it.
	Signal(*Tick) (*Signal, error)
}

// Starter is a Strategy that looks at its settings before the run. An error keeps the run from starting.
type Starter interface{ Start(Session) error }

// Info is what a strategy says of itself. Interval is how often it wants to be asked unless the operator says otherwise:
// "1m", "3m", "5m", "15m", "30m" or "1h".
type Info struct{ Name, Version, Interval string }

// Session says who trades what. Frame is the name of the period that is being replayed; empty where there is none.
type Session struct{ Symbol, Strategy, Exchange, Frame string }

// Position is the direction of a trade.
type Position uint8

const (
	Long Position = iota
	Short
)

// Signal says "trade this". The host checks all of it. What is nil or empty is the operator's default.
type Signal struct {
	// Long, unless something else is said.
	Position Position
	// Closed at this price when the average price reaches it; quote currency.
	TakeProfit float64
	// Closed at this price when a candle touches it; quote currency.
	StopLoss float64
	// Enter only when a candle touches this price. Nil: enter now.
	Limit *float64
	// Whole minutes until the position is closed as expired.
	Minutes *float64
	// Amount to invest, quote currency.
	Cost *float64
	// Leverage.
	Multiplier *float64
	// Whether the price at which everything invested is lost acts as a second stop.
	Isolated *bool
	// The strategy's own name for it. The id opened last is not opened again.
	ID string
	// A remark, kept verbatim in rows and events.
	Note string
}

// Some is a pointer to a value, for the optional fields of a [Signal].
func Some[T any](value T) *T { return &value }

// Candle is one closed bar. OpenTimeMs is in milliseconds since the Unix epoch, prices are in the quote currency, and
// Volume is in the base currency.
type Candle struct {
	OpenTimeMs                     uint64
	Open, High, Low, Close, Volume float64
}

// Trade is a position of this strategy on its symbol that was opened and closed.
type Trade struct {
	ID                     string
	Position               Position
	OpenedMs, ClosedMs     uint64
	PriceOpen, PriceClose  float64
	Cost                   float64
	PnlPercentage, PnlCost float64
	// Why it was closed, an open set: "take_profit", "stop_loss", "time_expired", "liquidation", "closed" today.
	Reason string
}

// Failure is an error with a code. GiveUp ends the strategy for the rest of the run; without it the strategy is asked
// again.
type Failure struct {
	Code, Message string
	GiveUp        bool
}

func (f *Failure) Error() string { return f.Code + ": " + f.Message }

// Level is how much a line of the log matters.
type Level uint32

const (
	LevelTrace Level = iota
	LevelDebug
	LevelInfo
	LevelWarn
	LevelError
)

// Tick is one question.
type Tick struct {
	// The minute boundary that is being decided, milliseconds since the Unix epoch.
	WhenMs uint64
	// Average price of the last closed candles.
	Price float64
	// The one-minute candle that closed at WhenMs.
	Newest Candle
	// The symbol's own one-minute candles up to WhenMs.
	Candles *Candles
	// Who trades what.
	Session *Session

	host  host
	quiet struct {
		is           bool
		untilMs      uint64
		below, above float64
	}
}

// MarketCandles returns exactly limit closed candles of any symbol and interval, oldest first: "1m" "3m" "5m" "15m" "30m"
// "1h" "2h" "4h" "6h" "8h" "12h" "1d". Nil without an error: there are not so many.
func (t *Tick) MarketCandles(symbol, interval string, limit int) ([]Candle, error) {
	candles, err := t.host.candles(symbol, interval, limit)
	return candles, unlessTooShort(err)
}

// CandlesAfter returns closed candles of any symbol and interval that opened later than afterMs, oldest first, at most
// limit. None: nothing has closed since.
func (t *Tick) CandlesAfter(symbol, interval string, afterMs uint64, limit int) ([]Candle, error) {
	return t.host.candlesAfter(symbol, interval, afterMs, limit)
}

// Columns returns numbers of the last limit closed candles of any symbol and interval: one slice for each field, oldest
// first. Fields are "open-time-ms" "open" "high" "low" "close" "volume". Nil without an error: there are not so many
// candles.
func (t *Tick) Columns(symbol, interval string, limit int, fields ...string) ([][]float64, error) {
	numbers, err := t.host.columns(symbol, interval, fields, limit)
	if err != nil || len(numbers) != limit*len(fields) {
		return nil, unlessTooShort(err)
	}
	columns := make([][]float64, len(fields))
	for i := range columns {
		columns[i] = numbers[i*limit : (i+1)*limit : (i+1)*limit]
	}
	return columns, nil
}

// AveragePrice is the volume-weighted average price of the last closed one-minute candles of any symbol. False: there are
// not so many.
func (t *Tick) AveragePrice(symbol string) (price float64, known bool, err error) {
	price, err = t.host.averagePrice(symbol)
	return price, err == nil, unlessTooShort(err)
}

// Quiet promises that the strategy has nothing to say before untilMs, as long as the price, the low and the high of closed
// candles stay between below and above. It counts if Signal then returns nil. The strategy is not asked meanwhile. A
// number that is not finite is no bound. A promise that was wrong misses a trade; `sigbox backtest --check-promises`
// names such promises.
func (t *Tick) Quiet(untilMs uint64, below, above float64) {
	t.quiet.is, t.quiet.untilMs, t.quiet.below, t.quiet.above = true, untilMs, below, above
}

// Trades returns at most n of its own last trades, oldest first. The host keeps the last 32, also across a restart.
func (t *Tick) Trades(n int) []Trade { return t.host.trades(n) }

// Remembered returns what was kept under a name; nil: nothing. It outlives the instance, a crash and a restart.
func (t *Tick) Remembered(name string) []byte { return t.host.get(name) }

// Remember keeps a value under a name, in place of what was there. All names and values together have 16 KiB; more is
// refused with an error.
func (t *Tick) Remember(name string, value []byte) error { return t.host.set(name, value) }

// Forget removes what is kept under a name.
func (t *Tick) Forget(name string) { t.host.remove(name) }

// Log writes a line for the operator. What is printed to standard output is a line too, of level info, and what is printed
// to standard error one of level warn.
func (t *Tick) Log(level Level, message string) { t.host.log(level, message) }

// Highest is the greatest of the numbers; minus infinity of none.
func Highest(numbers []float64) float64 {
	highest := math.Inf(-1)
	for _, number := range numbers {
		if number > highest {
			highest = number
		}
	}
	return highest
}

// Lowest is the least of the numbers; infinity of none.
func Lowest(numbers []float64) float64 {
	lowest := math.Inf(1)
	for _, number := range numbers {
		if number < lowest {
			lowest = number
		}
	}
	return lowest
}

// Mean is the average of the numbers, added from the first to the last; NaN of none.
func Mean(numbers []float64) float64 {
	sum := 0.0
	for _, number := range numbers {
		sum += number
	}
	return sum / float64(len(numbers))
}

// What a strategy has from outside: the host, or a test.
type host interface {
	// Minutes of the own symbol that follow the one opened at afterMs, at most limit, added to `to`.
	nextCandles(afterMs uint64, limit int, to []Candle) []Candle
	candles(symbol, interval string, limit int) ([]Candle, error)
	candlesAfter(symbol, interval string, afterMs uint64, limit int) ([]Candle, error)
	columns(symbol, interval string, fields []string, limit int) ([]float64, error)
	averagePrice(symbol string) (float64, error)
	trades(n int) []Trade
	get(name string) []byte
	set(name string, value []byte) error
	remove(name string)
	log(level Level, message string)
}

// The code of an error that says that there are not so many candles yet.
const tooShort = "not-enough-history"

func unlessTooShort(err error) error {
	if failure, ok := err.(*Failure); ok && failure.Code == tooShort {
		return nil
	}
	return err
}
