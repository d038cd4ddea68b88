package main

import (
	"testing"

	"sigbox"
)

func TestTradesWhereTheAveragesCross(t *testing.T) {
	candles := sigbox.Closes(90, 91, 92, 93, 94, 95, 80, 80, 80, 120, 120)
	answers, err := sigbox.Ask(&smaCross{Fast: 2, Slow: 5, TakeProfitPercent: 1, StopLossPercent: 0.6}, candles)
	if err != nil {
		t.Fatal(err)
	}
	for i, signal := range answers {
		switch {
		case (signal != nil) != (i == 6 || i == 9):
			t.Errorf("candle %d: %+v", i, signal)
		case i == 6 && (signal.Position != sigbox.Short || signal.TakeProfit != 80*(1-1.0/100)):
			t.Errorf("candle %d: %+v", i, signal)
		case i == 9 && (signal.Position != sigbox.Long || signal.StopLoss != 120*(1-0.6/100)):
			t.Errorf("candle %d: %+v", i, signal)
		}
	}
}

func TestRefusesAFastAverageThatIsNotFaster(t *testing.T) {
	test := sigbox.Test{Settings: `{"fast": 60}`}
	_, err := test.Run(&smaCross{Fast: 20, Slow: 60})
	if err == nil || err.Error() != "fast must be at least 1 and below slow; found fast 60 slow 60" {
		t.Error(err)
	}
}
