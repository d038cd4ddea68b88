package sigbox

import (
	"reflect"
	"runtime"
	"strconv"
	"strings"
)

// An exported strategy: the guest's side, and that of a test.
type runner struct {
	info     Info
	strategy Strategy
	settings []setting
	// Why the strategy cannot be one.
	unfit  error
	tick   Tick
	window Candles
}

func newRunner(info Info, strategy Strategy) *runner {
	settings, err := settingsOf(strategy)
	return &runner{info: info, strategy: strategy, settings: settings, unfit: err}
}

// start settles and starts the strategy. Whatever goes wrong is an error.
func (r *runner) start(host host, session *Session, settings string) (err error) {
	defer func() {
		if thrown := recover(); thrown != nil {
			err = panicked(thrown)
		}
	}()
	r.window = Candles{host: host, symbol: session.Symbol}
	r.tick = Tick{host: host, Session: session, Candles: &r.window}
	if r.unfit != nil {
		return r.unfit
	}
	if err = settle(r.settings, settings); err != nil {
		return err
	}
	if starter, ok := r.strategy.(Starter); ok {
		return starter.Start(*session)
	}
	return nil
}

// ask puts one question. Whatever goes wrong is an error.
func (r *runner) ask(whenMs uint64, price float64, newest Candle) (signal *Signal, err error) {
	defer func() {
		if thrown := recover(); thrown != nil {
			signal, err = nil, panicked(thrown)
		}
	}()
	r.window.whenMs, r.window.newest, r.window.isLent = whenMs, newest, false
	r.tick.WhenMs, r.tick.Price, r.tick.Newest, r.tick.quiet.is = whenMs, price, newest, false
	return r.strategy.Signal(&r.tick)
}

// failureOf is the code and the message of an error, and whether the strategy is asked again.
func failureOf(err error, code string) (string, string, bool) {
	if failure, ok := err.(*Failure); ok {
		if failure == nil {
			return code, "a Failure that is nil", true
		}
		return failure.Code, failure.Message, !failure.GiveUp
	}
	return code, err.Error(), true
}

// panicked is what was thrown, and where: the frames of the author's code.
func panicked(thrown any) error {
	var message string
	switch thrown := thrown.(type) {
	case error:
		message = thrown.Error()
	case string:
		message = thrown
	case interface{ String() string }:
		message = thrown.String()
	default:
		value := reflect.ValueOf(thrown)
		if message = "a value of type " + value.Type().String(); kindOf(value) != "" {
			message = textOfValue(value)
		}
	}
	var callers [32]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers[:])])
	for more := true; more; {
		var frame runtime.Frame
		frame, more = frames.Next()
		if frame.Function != "" && !strings.HasPrefix(frame.Function, "runtime.") && !isOwn(frame.Function) {
			message += "\n  " + frame.Function + " (" + frame.File + ":" + strconv.Itoa(frame.Line) + ")"
		}
	}
	return &Failure{Code: "panic", Message: message}
}

// isOwn says whether a function is one of this package, or of what the compiler puts around it.
func isOwn(function string) bool {
	for _, own := range []string{"sigbox.(*runner).", "sigbox.panicked", "sigbox.getSignal", "sigbox.start", "sigbox:"} {
		if strings.HasPrefix(function, own) {
			return true
		}
	}
	return false
}
