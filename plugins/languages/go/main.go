// Buys when the fast moving average of the closes crosses above the slow one, sells when it crosses below.
package main

import (
	"fmt"

	"sigbox"
)

type smaCross struct {
	Fast              int     `doc:"candles in the fast average"`
	Slow              int     `doc:"candles in the slow average"`
	TakeProfitPercent float64 `doc:"distance of the take-profit from the price, percent"`
	StopLossPercent   float64 `doc:"distance of the stop-loss from the price, percent"`
	Minutes           int     `doc:"lifetime of a position, minutes"`
}

func (s *smaCross) Start(sigbox.Session) error {
	if s.Fast < 1 || s.Fast >= s.Slow {
		return fmt.Errorf("fast must be at least 1 and below slow; found fast %d slow %d", s.Fast, s.Slow)
	}
	return nil
}

func (s *smaCross) Signal(tick *sigbox.Tick) (*sigbox.Signal, error) {
	closes, err := tick.Candles.Closes(s.Slow + 1)
	if closes == nil {
		return nil, err
	}
	before, now := above(closes, s.Fast, s.Slow)
	if before == now {
		return nil, nil
	}
	position, up := sigbox.Short, -1.0
	if now {
		position, up = sigbox.Long, 1.0
	}
	return &sigbox.Signal{
		Position:   position,
		TakeProfit: tick.Price * (1 + up*s.TakeProfitPercent/100),
		StopLoss:   tick.Price * (1 - up*s.StopLossPercent/100),
		Minutes:    sigbox.Some(float64(s.Minutes)),
	}, nil
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

// sum adds in eight lanes, as the Rust sample does: the same bits for the same candles. Variables are faster than an
// array.
func sum(closes []float64) float64 {
	var a, b, c, d, e, f, g, h float64
	for ; len(closes) >= 8; closes = closes[8:] {
		a, b, c, d = a+closes[0], b+closes[1], c+closes[2], d+closes[3]
		e, f, g, h = e+closes[4], f+closes[5], g+closes[6], h+closes[7]
	}
	rest := [8]float64{a, b, c, d, e, f, g, h}
	for i, close := range closes {
		rest[i&7] += close
	}
	return ((rest[0] + rest[4]) + (rest[1] + rest[5])) + ((rest[2] + rest[6]) + (rest[3] + rest[7]))
}

func init() {
	sigbox.Export(sigbox.Info{Name: "sma-cross", Version: "0.1.0", Interval: "1m"},
		&smaCross{Fast: 20, Slow: 60, TakeProfitPercent: 1.0, StopLossPercent: 0.6, Minutes: 240})
}

func main() {}
