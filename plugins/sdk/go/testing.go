//go:build !wasip1

package sigbox

import (
	"fmt"
)

// Ask puts a strategy to every minute of candles of one symbol, for tests. It returns an answer for each; nil: no trade.
// See [Test] for more.
func Ask(strategy Strategy, candles []Candle) ([]*Signal, error) {
	test := Test{Candles: candles}
	answers, err := test.Run(strategy)
	signals := make([]*Signal, len(answers))
	for i, answer := range answers {
		signals[i] = answer.Signal
	}
	return signals, err
}

// Closes makes candles of closing prices, for tests: a minute apart from the beginning of 2024, each with its close as
// open, high and low, and a volume of 1.
func Closes(prices ...float64) []Candle {
	candles := make([]Candle, len(prices))
	for i, price := range prices {
		candles[i] = Candle{1_704_067_200_000 + uint64(i)*minuteMs, price, price, price, price, 1}
	}
	return candles
}

// Test is a market, and all else that a strategy has from the host, for tests.
type Test struct {
	// One-minute candles of the strategy's own symbol, without gaps. The price of a question is the newest close.
	Candles []Candle
	// One-minute candles of other symbols.
	Others map[string][]Candle
	// Who trades what. The symbol is "TEST" where it is empty.
	Session Session
	// The operator's settings, a JSON object; empty: none.
	Settings string
	// The strategy's last trades.
	Trades []Trade
	// What is remembered, before and after.
	Memory map[string][]byte
	// A question is put every so many minutes; 0: every minute.
	Every int
	// Lines of the log, which the run adds.
	Log []string

	nowMs uint64
}

// Answer is what a strategy said to one question.
type Answer struct {
	WhenMs uint64
	// Nil: no trade.
	Signal *Signal
	// What it promised; nil: nothing.
	Quiet *Quiet
}

// Quiet is a promise: see [Tick.Quiet].
type Quiet struct {
	UntilMs      uint64
	Below, Above float64
}

// Run starts the strategy and puts a question to it for each candle. An error says at which minute it failed, or that it
// traded although it had promised silence.
func (t *Test) Run(strategy Strategy) ([]Answer, error) {
	session := t.Session
	if session.Symbol == "" {
		session.Symbol = "TEST"
	}
	settings := t.Settings
	if settings == "" {
		settings = "{}"
	}
	t.Session = session
	r := newRunner(Info{}, strategy)
	if err := r.start(t, &session, settings); err != nil {
		return nil, err
	}
	var answers []Answer
	var promise *Quiet
	for i, candle := range t.Candles {
		t.nowMs = candle.OpenTimeMs + minuteMs
		price := candle.Close
		if promise != nil && (t.nowMs >= promise.UntilMs || min(price, candle.Low) < promise.Below ||
			max(price, candle.High) > promise.Above) {
			promise = nil
		}
		if t.Every > 1 && (t.nowMs/minuteMs)%uint64(t.Every) != 0 {
			continue
		}
		signal, err := r.ask(t.nowMs, price, candle)
		if err != nil {
			return answers, fmt.Errorf("candle %d: %w", i, err)
		}
		answer := Answer{WhenMs: t.nowMs, Signal: signal}
		if signal != nil && promise != nil {
			return answers, fmt.Errorf("candle %d: it traded, although it had promised silence", i)
		}
		if q := r.tick.quiet; q.is && signal == nil {
			answer.Quiet = &Quiet{q.untilMs, q.below, q.above}
			if promise == nil {
				promise = answer.Quiet
			}
		}
		answers = append(answers, answer)
	}
	return answers, nil
}

// closed returns the candles of a symbol that have closed.
func (t *Test) closed(symbol, interval string) ([]Candle, error) {
	minutes, known := t.Others[symbol]
	if symbol == t.Session.Symbol {
		minutes, known = t.Candles, true
	}
	if !known {
		return nil, &Failure{Code: "unknown-symbol", Message: "there are no candles of " + symbol}
	}
	spans := map[string]uint64{
		"1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "2h": 120, "4h": 240, "6h": 360, "8h": 480, "12h": 720,
		"1d": 1440,
	}
	span, known := spans[interval]
	if !known {
		return nil, &Failure{Code: "unknown-interval", Message: interval + " is not an interval"}
	}
	for len(minutes) > 0 && minutes[len(minutes)-1].OpenTimeMs+minuteMs > t.nowMs {
		minutes = minutes[:len(minutes)-1]
	}
	if span == 1 {
		return minutes, nil
	}
	var candles []Candle
	for i := 0; i+int(span) <= len(minutes); i++ {
		if minutes[i].OpenTimeMs%(span*minuteMs) != 0 {
			continue
		}
		candle := minutes[i]
		for _, minute := range minutes[i+1 : i+int(span)] {
			candle.High, candle.Low = max(candle.High, minute.High), min(candle.Low, minute.Low)
			candle.Close = minute.Close
			candle.Volume += minute.Volume
		}
		candles = append(candles, candle)
	}
	return candles, nil
}

func (t *Test) candles(symbol, interval string, limit int) ([]Candle, error) {
	candles, err := t.closed(symbol, interval)
	if err != nil {
		return nil, err
	}
	if limit < 0 || limit > 10_080 {
		return nil, &Failure{Code: "too-many", Message: fmt.Sprint(limit, " candles asked for")}
	}
	if limit > len(candles) {
		return nil, &Failure{Code: tooShort, Message: fmt.Sprint(limit, " candles asked for; there are ", len(candles))}
	}
	return append([]Candle{}, candles[len(candles)-limit:]...), nil
}

func (t *Test) after(symbol, interval string, afterMs uint64, limit int) ([]Candle, error) {
	candles, err := t.closed(symbol, interval)
	for len(candles) > 0 && candles[0].OpenTimeMs <= afterMs {
		candles = candles[1:]
	}
	return candles[:min(max(limit, 0), len(candles))], err
}

func (t *Test) candlesAfter(symbol, interval string, afterMs uint64, limit int) ([]Candle, error) {
	candles, err := t.after(symbol, interval, afterMs, limit)
	return append([]Candle(nil), candles...), err
}

func (t *Test) nextCandles(afterMs uint64, limit int, to []Candle) []Candle {
	candles, _ := t.after(t.Session.Symbol, "1m", afterMs, min(limit, 10_080))
	if len(candles) == 0 || candles[0].OpenTimeMs != afterMs+minuteMs {
		return to
	}
	return append(to, candles...)
}

func (t *Test) columns(symbol, interval string, fields []string, limit int) ([]float64, error) {
	candles, err := t.candles(symbol, interval, limit)
	if err != nil {
		return nil, err
	}
	numbers := []float64{}
	for _, field := range fields {
		for _, c := range candles {
			number, known := map[string]float64{
				"open-time-ms": float64(c.OpenTimeMs), "open": c.Open, "high": c.High, "low": c.Low, "close": c.Close,
				"volume": c.Volume,
			}[field]
			if !known {
				return nil, &Failure{Code: "unknown-field", Message: "a candle has no " + field}
			}
			numbers = append(numbers, number)
		}
	}
	return numbers, nil
}

// The average of the last five closes, each as heavy as its volume.
func (t *Test) averagePrice(symbol string) (float64, error) {
	candles, err := t.candles(symbol, "1m", 5)
	sum, volume := 0.0, 0.0
	for _, c := range candles {
		sum, volume = sum+c.Close*c.Volume, volume+c.Volume
	}
	if err == nil && volume == 0 {
		return candles[4].Close, nil
	}
	return sum / volume, err
}

func (t *Test) trades(n int) []Trade {
	return append([]Trade{}, t.Trades[max(0, len(t.Trades)-max(n, 0)):]...)
}

func (t *Test) get(name string) []byte { return t.Memory[name] }

func (t *Test) set(name string, value []byte) error {
	bytes := len(name) + len(value) + 64
	for known, kept := range t.Memory {
		if known != name {
			bytes += len(known) + len(kept) + 64
		}
	}
	if bytes > 16<<10 {
		return &Failure{Code: "too-large", Message: fmt.Sprint(bytes, " bytes are more than are kept")}
	}
	if t.Memory == nil {
		t.Memory = map[string][]byte{}
	}
	t.Memory[name] = append([]byte{}, value...)
	return nil
}

func (t *Test) remove(name string) { delete(t.Memory, name) }

func (t *Test) log(level Level, message string) {
	t.Log = append(t.Log, []string{"trace", "debug", "info", "warn", "error"}[min(level, LevelError)]+" "+message)
}
