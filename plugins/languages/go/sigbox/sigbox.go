// Package sigbox is what a strategy in Go needs: the canonical ABI of the world `strategy`, by hand. The bindings that
// wit-bindgen generates for Go need a module that not every module proxy has.
package sigbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"unsafe"
)

//go:wasmimport sigbox:strategy/answer@0.1.0 trade
func hostTrade(signal unsafe.Pointer)

// Fail says that there is no answer. The strategy is asked again if retryable.
//
//go:wasmimport sigbox:strategy/answer@0.1.0 fail
func Fail(code, message string, retryable bool)

//go:wasmimport sigbox:host/session@0.1.0 symbol
func hostSymbol(ret unsafe.Pointer)

//go:wasmimport sigbox:host/session@0.1.0 settings
func hostSettings(ret unsafe.Pointer)

//go:wasmimport sigbox:host/market@0.1.0 columns
func hostColumns(symbol, interval string, fields unsafe.Pointer, fieldsLen, limit uint32, ret unsafe.Pointer)

// Strategy trades one symbol. Its exported fields, as encoding/json sees them, are its settings.
type Strategy interface {
	// Start looks at the settings. An error keeps the run from starting.
	Start() error
	// GetSignal answers by a call of Trade or Fail; silence means no trade.
	GetSignal(whenMs uint64, price, open, high, low, close, volume float64)
}

// Info is what a strategy says of itself.
type Info struct{ Name, Version, Interval string }

// Export makes s, with its defaults in its fields, the component's strategy. Call it from init.
func Export(info Info, s Strategy) { guest.info, guest.strategy = info, s }

// Position is the direction of a trade.
type Position uint8

const (
	Long Position = iota
	Short
)

// Signal says "trade this". What is nil or empty is the operator's default.
type Signal struct {
	ID                        string
	Position                  Position
	Open                      *float64
	TakeProfit, StopLoss      float64
	Minutes, Cost, Multiplier *float64
	Note                      string
}

// Trade answers a question.
func Trade(s Signal) {
	guest.id, guest.note = s.ID, s.Note
	guest.signal = rawSignal{
		id: optTextOf(guest.id), position: s.Position, open: optNumberOf(s.Open), takeProfit: s.TakeProfit,
		stopLoss: s.StopLoss, minutes: optNumberOf(s.Minutes), cost: optNumberOf(s.Cost),
		multiplier: optNumberOf(s.Multiplier), note: optTextOf(guest.note),
	}
	hostTrade(unsafe.Pointer(&guest.signal))
}

// ErrTooShort says that there are not so many candles yet.
var ErrTooShort = errors.New("not-enough-history")

// Column returns the last limit closed one-minute candles, a field of them, valid until GetSignal returns.
func Column(field string, limit int) ([]float64, error) {
	guest.field, guest.fields = field, textOf(field)
	hostColumns(guest.symbol, "1m", unsafe.Pointer(&guest.fields), 1, uint32(limit), unsafe.Pointer(&guest.columns))
	got := &guest.columns
	if uint8(got.tag) == 0 {
		return unsafe.Slice((*float64)(unsafe.Pointer(uintptr(got.first.ptr))), got.first.len), nil
	}
	if got.first.String() == ErrTooShort.Error() {
		return nil, ErrTooShort
	}
	return nil, errors.New(got.message.String())
}

// Everything the host reads or writes is here, so that the collector keeps it.
var guest struct {
	info     Info
	strategy Strategy
	symbol   string
	id, note string
	field    string
	message  string
	fields   text
	columns  struct {
		tag            uint32
		first, message text
	}
	given      text
	signal     rawSignal
	descriptor struct {
		name, version, interval text
		schema                  optText
		features                text
		extra                   optText
	}
	started struct {
		tag           uint32
		code, message text
		retryable     uint32
		extra         optText
	}
}

type text struct{ ptr, len uint32 }

func textOf(s string) text {
	return text{uint32(uintptr(unsafe.Pointer(unsafe.StringData(s)))), uint32(len(s))}
}

func (t text) String() string {
	return string(unsafe.Slice((*byte)(unsafe.Pointer(uintptr(t.ptr))), t.len))
}

type optText struct {
	some uint32
	text text
}

func optTextOf(s string) optText {
	if s == "" {
		return optText{}
	}
	return optText{1, textOf(s)}
}

type optNumber struct {
	some  uint64
	value float64
}

func optNumberOf(v *float64) optNumber {
	if v == nil {
		return optNumber{}
	}
	return optNumber{1, *v}
}

type rawSignal struct {
	id, symbol                optText
	position                  Position
	open                      optNumber
	takeProfit, stopLoss      float64
	minutes, cost, multiplier optNumber
	isolated                  [2]uint8
	note, extra               optText
}

// What the host hands over in a call, kept until the call ends.
var handed [][]uint64

//go:wasmexport cabi_realloc
func cabiRealloc(old unsafe.Pointer, oldLen, align, newLen uint32) unsafe.Pointer {
	block := make([]uint64, newLen/8+1)
	handed = append(handed, block)
	return unsafe.Pointer(unsafe.SliceData(block))
}

//go:wasmexport sigbox:strategy/strategy@0.1.0#describe
func describe() unsafe.Pointer {
	d := &guest.descriptor
	d.name, d.version, d.interval = textOf(guest.info.Name), textOf(guest.info.Version), textOf(guest.info.Interval)
	return unsafe.Pointer(d)
}

//go:wasmexport sigbox:strategy/strategy@0.1.0#start
func start() unsafe.Pointer {
	hostSymbol(unsafe.Pointer(&guest.given))
	guest.symbol = guest.given.String()
	hostSettings(unsafe.Pointer(&guest.given))
	decoder := json.NewDecoder(bytes.NewBufferString(guest.given.String()))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(guest.strategy)
	if err == nil {
		err = guest.strategy.Start()
	}
	if err != nil {
		guest.message = err.Error()
		guest.started.tag = 1
		guest.started.code, guest.started.message = textOf("settings"), textOf(guest.message)
	}
	handed = nil
	return unsafe.Pointer(&guest.started)
}

//go:wasmexport sigbox:strategy/strategy@0.1.0#get-signal
func getSignal(whenMs uint64, price, open, high, low, close, volume float64) {
	guest.strategy.GetSignal(whenMs, price, open, high, low, close, volume)
	handed = handed[:0]
}
