package sigbox

import "unsafe"

// The canonical ABI of the world `strategy`, by hand. The bindings that wit-bindgen generates for Go need a module that
// not every module proxy has.
//
// Pointers of Go have 8 bytes and those of the ABI 4, so no Go pointer or string is in a struct that the host reads.

//go:wasmimport sigbox:host/session@0.1.0 symbol
func hostSymbol(ret unsafe.Pointer)

//go:wasmimport sigbox:host/session@0.1.0 strategy
func hostStrategy(ret unsafe.Pointer)

//go:wasmimport sigbox:host/session@0.1.0 exchange
func hostExchange(ret unsafe.Pointer)

//go:wasmimport sigbox:host/session@0.1.0 frame
func hostFrame(ret unsafe.Pointer)

//go:wasmimport sigbox:host/session@0.1.0 settings
func hostSettings(ret unsafe.Pointer)

//go:wasmimport sigbox:host/logging@0.1.0 log
func hostLog(level uint32, target, message string)

//go:wasmimport sigbox:host/market@0.1.0 candles
func hostCandles(symbol, interval string, limit uint32, ret unsafe.Pointer)

//go:wasmimport sigbox:host/market@0.1.0 candles-after
func hostCandlesAfter(symbol, interval string, afterMs uint64, limit uint32, ret unsafe.Pointer)

//go:wasmimport sigbox:host/market@0.1.0 columns
func hostColumns(symbol, interval string, fields unsafe.Pointer, fieldsLen, limit uint32, ret unsafe.Pointer)

//go:wasmimport sigbox:host/market@0.1.0 next-candles
func hostNextCandles(afterMs uint64, limit uint32, ret unsafe.Pointer)

//go:wasmimport sigbox:host/market@0.1.0 average-price
func hostAveragePrice(symbol string, ret unsafe.Pointer)

//go:wasmimport sigbox:host/trades@0.1.0 last
func hostTrades(n uint32, ret unsafe.Pointer)

//go:wasmimport sigbox:host/memory@0.1.0 get
func hostGet(name string, ret unsafe.Pointer)

//go:wasmimport sigbox:host/memory@0.1.0 set
func hostSet(name string, value unsafe.Pointer, valueLen uint32, ret unsafe.Pointer)

//go:wasmimport sigbox:host/memory@0.1.0 remove
func hostRemove(name string)

//go:wasmimport sigbox:strategy/answer@0.1.0 trade
func hostTrade(signal unsafe.Pointer)

//go:wasmimport sigbox:strategy/answer@0.1.0 fail
func hostFail(code, message string, retryable bool)

//go:wasmimport sigbox:strategy/answer@0.1.0 quiet
func hostQuiet(untilMs uint64, below, above float64)

// adapter.wat: the clock of Go shows this time from now on.
//
//go:wasmimport wasi_snapshot_preview1 sigbox_set_now
func adapterSetNow(nowMs uint64)

// Export makes a strategy the component's. Call it from init. The strategy is a pointer to a struct: its exported fields
// are the settings, and their values are the defaults. They may be bool, string and any integer or float. TakeProfit is
// take-profit in the operator's file, unless a tag `json:"…"` names it; a tag `doc:"…"` explains it to tools; `json:"-"`
// says that it is none. Settings that are unknown or have another type are refused by name.
func Export(info Info, strategy Strategy) { guest.runner = newRunner(info, strategy) }

// Everything the host reads or writes is here, so that the collector keeps it and does not move it.
var guest struct {
	runner     *runner
	session    Session
	schema     string
	code       string
	message    string
	id, note   string
	fields     []text
	texts      []string
	given      optText
	result     result
	refused    result
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
	price struct {
		tag           uint64
		price         float64
		second, third uint32
	}
}

// A result with a list, or with the code and the message of a refusal.
type result struct {
	tag            uint32
	first, message text
}

func (r *result) err() error {
	if uint8(r.tag) == 0 {
		return nil
	}
	return &Failure{Code: r.first.String(), Message: r.message.String()}
}

// A text or a list. What it points to lives as long as the host's call, or as guest keeps it.
type text struct{ ptr, len uint32 }

func textOf(s string) text {
	return text{uint32(uintptr(unsafe.Pointer(unsafe.StringData(s)))), uint32(len(s))}
}

func (t text) String() string { return string(listOf[byte](t)) }

func listOf[T any](t text) []T {
	return unsafe.Slice((*T)(unsafe.Pointer(uintptr(t.ptr))), t.len)
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
	limit                     optNumber
	takeProfit, stopLoss      float64
	minutes, cost, multiplier optNumber
	isSaid, isolated          bool
	note, extra               optText
}

type rawTrade struct {
	id                     text
	position               Position
	openedMs, closedMs     uint64
	priceOpen, priceClose  float64
	cost                   float64
	pnlPercentage, pnlCost float64
	reason                 text
	extra                  optText
	_                      uint32
}

// The sizes that the ABI says.
var (
	_ [144]byte = [unsafe.Sizeof(rawSignal{})]byte{}
	_ [96]byte  = [unsafe.Sizeof(rawTrade{})]byte{}
	_ [20]byte  = [unsafe.Sizeof(result{})]byte{}
	_ [48]byte  = [unsafe.Sizeof(Candle{})]byte{}
	_ [56]byte  = [unsafe.Sizeof(guest.descriptor)]byte{}
	_ [36]byte  = [unsafe.Sizeof(guest.started)]byte{}
)

// What the host hands over in a call, kept until the call ends.
var handed [][]uint64

//go:wasmexport cabi_realloc
func cabiRealloc(old unsafe.Pointer, oldLen, align, newLen uint32) unsafe.Pointer {
	block := make([]uint64, newLen/8+1)
	handed = append(handed, block)
	return unsafe.Pointer(unsafe.SliceData(block))
}

func letGo() {
	if len(handed) > 0 {
		clear(handed)
		handed = handed[:0]
	}
}

//go:wasmexport sigbox:strategy/strategy@0.1.0#describe
func describe() unsafe.Pointer {
	if guest.runner == nil {
		guest.runner = newRunner(Info{"unknown", "0", "1m"}, nil)
		guest.runner.unfit = refusal("the program exports no strategy: call sigbox.Export from init")
	}
	info, d := &guest.runner.info, &guest.descriptor
	d.name, d.version, d.interval = textOf(info.Name), textOf(info.Version), textOf(info.Interval)
	if guest.runner.unfit == nil {
		guest.schema = schemaOf(guest.runner.settings)
		d.schema = optTextOf(guest.schema)
	}
	return unsafe.Pointer(d)
}

//go:wasmexport sigbox:strategy/strategy@0.1.0#start
func start() unsafe.Pointer {
	lent := func(lend func(unsafe.Pointer)) string {
		lend(unsafe.Pointer(&guest.given.text))
		return guest.given.text.String()
	}
	guest.session = Session{Symbol: lent(hostSymbol), Strategy: lent(hostStrategy), Exchange: lent(hostExchange)}
	hostFrame(unsafe.Pointer(&guest.given))
	if uint8(guest.given.some) == 1 {
		guest.session.Frame = guest.given.text.String()
	}
	if err := guest.runner.start(wasm{}, &guest.session, lent(hostSettings)); err != nil {
		guest.code, guest.message, _ = failureOf(err, "settings")
		guest.started.tag = 1
		guest.started.code, guest.started.message = textOf(guest.code), textOf(guest.message)
	}
	letGo()
	return unsafe.Pointer(&guest.started)
}

//go:wasmexport sigbox:strategy/strategy@0.1.0#get-signal
func getSignal(whenMs uint64, price, open, high, low, close, volume float64) {
	adapterSetNow(whenMs)
	r := guest.runner
	signal, err := r.ask(whenMs, price, Candle{whenMs - minuteMs, open, high, low, close, volume})
	switch {
	case err != nil:
		hostFail(failureOf(err, "error"))
	case signal != nil:
		trade(signal)
	case r.tick.quiet.is:
		hostQuiet(r.tick.quiet.untilMs, r.tick.quiet.below, r.tick.quiet.above)
	}
	letGo()
}

func trade(s *Signal) {
	guest.id, guest.note = s.ID, s.Note
	guest.signal = rawSignal{
		id: optTextOf(guest.id), position: s.Position, limit: optNumberOf(s.Limit), takeProfit: s.TakeProfit,
		stopLoss: s.StopLoss, minutes: optNumberOf(s.Minutes), cost: optNumberOf(s.Cost),
		multiplier: optNumberOf(s.Multiplier), isSaid: s.Isolated != nil, note: optTextOf(guest.note),
	}
	if s.Isolated != nil {
		guest.signal.isolated = *s.Isolated
	}
	if s.Position > Short {
		hostFail("position", "a position is sigbox.Long or sigbox.Short", true)
		return
	}
	hostTrade(unsafe.Pointer(&guest.signal))
}

// The host.
type wasm struct{}

func (wasm) nextCandles(afterMs uint64, limit int, to []Candle) []Candle {
	hostNextCandles(afterMs, uint32(min(limit, 1<<31)), unsafe.Pointer(&guest.given.text))
	numbers := listOf[float64](guest.given.text)
	for ; len(numbers) >= 5; numbers = numbers[5:] {
		afterMs += minuteMs
		to = append(to, Candle{afterMs, numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]})
	}
	return to
}

func (wasm) candles(symbol, interval string, limit int) ([]Candle, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	hostCandles(symbol, interval, uint32(limit), unsafe.Pointer(&guest.result))
	return takeCandles()
}

func (wasm) candlesAfter(symbol, interval string, afterMs uint64, limit int) ([]Candle, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	hostCandlesAfter(symbol, interval, afterMs, uint32(limit), unsafe.Pointer(&guest.result))
	return takeCandles()
}

func takeCandles() ([]Candle, error) {
	if err := guest.result.err(); err != nil {
		return nil, err
	}
	return append([]Candle{}, listOf[Candle](guest.result.first)...), nil
}

func (wasm) columns(symbol, interval string, fields []string, limit int) ([]float64, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	guest.texts, guest.fields = fields, guest.fields[:0]
	for _, field := range fields {
		guest.fields = append(guest.fields, textOf(field))
	}
	list := unsafe.Pointer(unsafe.SliceData(guest.fields))
	hostColumns(symbol, interval, list, uint32(len(fields)), uint32(limit), unsafe.Pointer(&guest.result))
	if err := guest.result.err(); err != nil {
		return nil, err
	}
	return append([]float64{}, listOf[float64](guest.result.first)...), nil
}

func checkLimit(limit int) error {
	if limit < 0 || limit > 1<<31 {
		return &Failure{Code: "too-many", Message: "no such number of candles can be asked for"}
	}
	return nil
}

func (wasm) averagePrice(symbol string) (float64, error) {
	p := &guest.price
	hostAveragePrice(symbol, unsafe.Pointer(p))
	if uint8(p.tag) == 0 {
		return p.price, nil
	}
	refused := (*[2]text)(unsafe.Pointer(&p.price))
	return 0, &Failure{Code: refused[0].String(), Message: refused[1].String()}
}

func (wasm) trades(n int) []Trade {
	hostTrades(uint32(min(max(n, 0), 1<<31)), unsafe.Pointer(&guest.given.text))
	list := listOf[rawTrade](guest.given.text)
	trades := make([]Trade, len(list))
	for i := range list {
		t := &list[i]
		trades[i] = Trade{
			t.id.String(), t.position, t.openedMs, t.closedMs, t.priceOpen, t.priceClose, t.cost, t.pnlPercentage,
			t.pnlCost, t.reason.String(),
		}
	}
	return trades
}

func (wasm) get(name string) []byte {
	hostGet(name, unsafe.Pointer(&guest.given))
	if uint8(guest.given.some) == 0 {
		return nil
	}
	return append([]byte{}, listOf[byte](guest.given.text)...)
}

func (wasm) set(name string, value []byte) error {
	hostSet(name, unsafe.Pointer(unsafe.SliceData(value)), uint32(len(value)), unsafe.Pointer(&guest.refused))
	return guest.refused.err()
}

func (wasm) remove(name string) { hostRemove(name) }

func (wasm) log(level Level, message string) { hostLog(uint32(min(level, LevelError)), "", message) }
