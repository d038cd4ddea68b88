package sigbox

const minuteMs = 60_000

// Candles are the symbol's own closed one-minute candles up to the question. Only what is new since the last question is
// fetched from the host, so a window costs what is new in it and not what it is long.
//
// What its methods return is valid until the next question, also when more is asked for meanwhile. It must not be written
// to.
type Candles struct {
	host   host
	symbol string
	whenMs uint64
	// The one that closed at whenMs.
	newest Candle
	// Contiguous, oldest first. The oldest are dropped in bulk, so that the rest stays one slice.
	kept []Candle
	// The longest window that was asked for.
	longest int
	// Whether something was returned to the question being answered.
	isLent bool
	// How often the oldest were dropped. A column that was made before begins with other candles.
	dropped uint64
	columns [5]column
}

// One number of each candle that is kept, as far as it was asked for.
type column struct {
	numbers []float64
	dropped uint64
}

type field uint8

const (
	openField field = iota
	highField
	lowField
	closeField
	volumeField
)

// Last returns the last count closed candles, oldest first. Nil without an error: the market is younger than that.
func (c *Candles) Last(count int) ([]Candle, error) {
	if reached, err := c.reach(count); !reached {
		return nil, err
	}
	return c.kept[len(c.kept)-count:], nil
}

// Opens returns the last count opening prices, oldest first. Nil without an error: the market is younger than that.
func (c *Candles) Opens(count int) ([]float64, error) { return c.column(openField, count) }

// Highs returns the last count highest prices, as [Candles.Opens].
func (c *Candles) Highs(count int) ([]float64, error) { return c.column(highField, count) }

// Lows returns the last count lowest prices, as [Candles.Opens].
func (c *Candles) Lows(count int) ([]float64, error) { return c.column(lowField, count) }

// Closes returns the last count closing prices, as [Candles.Opens].
func (c *Candles) Closes(count int) ([]float64, error) { return c.column(closeField, count) }

// Volumes returns the last count volumes, as [Candles.Opens].
func (c *Candles) Volumes(count int) ([]float64, error) { return c.column(volumeField, count) }

func (c *Candles) column(f field, count int) ([]float64, error) {
	if reached, err := c.reach(count); !reached {
		return nil, err
	}
	column := &c.columns[f]
	if column.dropped != c.dropped {
		column.numbers, column.dropped = column.numbers[:0], c.dropped
	}
	for known := len(column.numbers); known < len(c.kept); known++ {
		candle := &c.kept[known]
		var number float64
		switch f {
		case openField:
			number = candle.Open
		case highField:
			number = candle.High
		case lowField:
			number = candle.Low
		case closeField:
			number = candle.Close
		case volumeField:
			number = candle.Volume
		}
		column.numbers = append(column.numbers, number)
	}
	return column.numbers[len(column.numbers)-count:], nil
}

// reach makes the window reach up to the question, with at least count candles. False without an error: there are not so
// many.
func (c *Candles) reach(count int) (bool, error) {
	if count < 1 {
		return false, &Failure{Code: "window", Message: "a window must have at least one candle", GiveUp: true}
	}
	c.longest = max(c.longest, count)
	reached, err := c.catchUp(count), error(nil)
	if !reached {
		reached, err = c.refill(count)
	}
	c.isLent = c.isLent || reached
	return reached, err
}

// catchUp adds the candles that closed since the last question. False when the window has to be fetched anew: it is too
// short, or more is missing than it holds.
func (c *Candles) catchUp(count int) bool {
	before := len(c.kept)
	if before == 0 {
		return false
	}
	newestMs := c.kept[before-1].OpenTimeMs
	missing := uint64(0)
	if c.whenMs > newestMs+minuteMs {
		missing = (c.whenMs - newestMs - minuteMs) / minuteMs
	}
	if missing > uint64(c.longest) {
		return false
	}
	if missing > 0 && before >= 4*max(c.longest, 64) {
		c.kept = c.kept[:copy(c.kept, c.kept[before-c.longest:])]
		c.dropped++
		before = c.longest
	}
	switch {
	case missing == 1:
		c.kept = append(c.kept, c.newest)
	case missing > 1:
		c.kept = c.host.nextCandles(newestMs, int(missing), c.kept)
	}
	return uint64(len(c.kept)-before) == missing && len(c.kept) >= count
}

// refill fetches the whole window.
func (c *Candles) refill(count int) (bool, error) {
	if c.isLent {
		c.kept, c.columns = nil, [5]column{}
	}
	c.kept = c.kept[:0]
	c.dropped++
	if span := (uint64(count) + 1) * minuteMs; c.whenMs >= span {
		c.kept = c.host.nextCandles(c.whenMs-span, count, c.kept)
	}
	if len(c.kept) == count {
		return true, nil
	}
	// As records they cost more, but then the host says why there are not so many.
	candles, err := c.host.candles(c.symbol, "1m", count)
	c.kept = append(c.kept[:0], candles...)
	return err == nil, unlessTooShort(err)
}
