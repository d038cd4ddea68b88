// Buys when the fast moving average of the closes crosses above the slow one, sells when it crosses below.
package main

import (
	"errors"
	"fmt"

	"sma-cross/sigbox"
)

const minuteMs = 60_000

type smaCross struct {
	Fast              int     `json:"fast"`
	Slow              int     `json:"slow"`
	TakeProfitPercent float64 `json:"take-profit-percent"`
	StopLossPercent   float64 `json:"stop-loss-percent"`
	Minutes           float64 `json:"minutes"`

	// Closes up to that of newestMs, oldest first.
	kept     []float64
	newestMs uint64
}

func (s *smaCross) Start() error {
	if s.Fast < 1 || s.Fast >= s.Slow {
		return fmt.Errorf("fast must be at least 1 and below slow; found fast %d slow %d", s.Fast, s.Slow)
	}
	s.kept = make([]float64, 0, 4*(s.Slow+1))
	return nil
}

func (s *smaCross) GetSignal(whenMs uint64, price, _, _, _, close, _ float64) {
	closes, err := s.window(s.Slow+1, whenMs, close)
	if err != nil {
		if !errors.Is(err, sigbox.ErrTooShort) {
			sigbox.Fail("candles", err.Error(), true)
		}
		return
	}
	before, now := above(closes, s.Fast, s.Slow)
	if before == now {
		return
	}
	position, up := sigbox.Short, -1.0
	if now {
		position, up = sigbox.Long, 1.0
	}
	sigbox.Trade(sigbox.Signal{
		Position:   position,
		TakeProfit: price * (1 + up*s.TakeProfitPercent/100),
		StopLoss:   price * (1 - up*s.StopLossPercent/100),
		Minutes:    &s.Minutes,
	})
}

// window returns the last count closes. The one that is new came with the question.
func (s *smaCross) window(count int, whenMs uint64, close float64) ([]float64, error) {
	if len(s.kept) > 0 && whenMs == s.newestMs+minuteMs {
		if len(s.kept) == cap(s.kept) {
			s.kept = s.kept[:copy(s.kept, s.kept[len(s.kept)-count+1:])]
		}
		s.kept = append(s.kept, close)
	} else {
		s.kept = s.kept[:0]
		closes, err := sigbox.Column("close", count)
		if err != nil {
			return nil, err
		}
		s.kept = append(s.kept, closes...)
	}
	s.newestMs = whenMs
	return s.kept[len(s.kept)-count:], nil
}

// above says whether the fast average is above the slow one, before the last close and with it.
func above(closes []float64, fast, slow int) (bool, bool) {
	at := slow - fast
	first, firstFast, last := closes[0], closes[at], closes[slow]
	shared := sum(closes[at+1 : slow])
	sharedSlow := sum(closes[1:at]) + firstFast + shared
	is := func(f, s float64) bool { return f/float64(fast) > s/float64(slow) }
	return is(firstFast+shared, first+sharedSlow), is(shared+last, sharedSlow+last)
}

// sum adds in eight lanes, as the Rust sample does: the same bits for the same candles.
func sum(closes []float64) float64 {
	var lane [8]float64
	for i, close := range closes {
		lane[i%8] += close
	}
	return ((lane[0] + lane[4]) + (lane[1] + lane[5])) + ((lane[2] + lane[6]) + (lane[3] + lane[7]))
}

func init() {
	sigbox.Export(sigbox.Info{Name: "sma-cross", Version: "0.1.0", Interval: "1m"},
		&smaCross{Fast: 20, Slow: 60, TakeProfitPercent: 1.0, StopLossPercent: 0.6, Minutes: 240})
}

func main() {}
