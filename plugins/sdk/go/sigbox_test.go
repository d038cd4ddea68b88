package sigbox

import (
	"errors"
	"math"
	"strings"
	"testing"
)

type all struct {
	Percent           float64 `doc:"how \"far\""`
	TakeProfitPercent float64
	Fast              int
	Small             uint8
	IsLoud            bool
	Word              string `json:"a-word"`
	State             []int  `json:"-"`
	hidden            int
}

func (*all) Signal(*Tick) (*Signal, error) { return nil, nil }

func settled(t *testing.T, settings string) (*all, string) {
	t.Helper()
	s := &all{Percent: 1, Fast: 20, Word: "x"}
	found, err := settingsOf(s)
	if err != nil {
		t.Fatal(err)
	}
	if err = settle(found, settings); err != nil {
		return s, err.(*Failure).Message
	}
	return s, ""
}

func TestSettingsAreFieldsByTheirNamesInKebabCase(t *testing.T) {
	s, why := settled(t, ` { "percent": 2, "take-profit-percent" : 1.5e0, "fast": 7.0, "small": 255, "is-loud": true,
		"a-word": "a \"b\" \u00e9\ud83d\ude00\n" } `)
	if why != "" || s.Percent != 2 || s.TakeProfitPercent != 1.5 || s.Fast != 7 || s.Small != 255 || !s.IsLoud ||
		s.Word != "a \"b\" é😀\n" {
		t.Fatalf("%s %+v", why, s)
	}
	if s, why = settled(t, "{}"); why != "" || s.Fast != 20 {
		t.Fatalf("%s %+v", why, s)
	}
}

func TestWhatIsNotASettingIsRefusedByName(t *testing.T) {
	for settings, wanted := range map[string]string{
		`{"fsat": 20}`:           "there is no setting fsat; there are: percent, take-profit-percent, fast, small, is-loud, a-word",
		`{"hidden": 1}`:          "there is no setting hidden",
		`{"state": [1, 2]}`:      "there is no setting state",
		`{"fast": "x"}`:          `fast must be a whole number; found "x"`,
		`{"fast": 60.5}`:         "fast must be a whole number; found 60.5",
		`{"fast": null}`:         "fast must be a whole number; found null",
		`{"fast": [1, {"a":2}]}`: `fast must be a whole number; found [1, {"a":2}]`,
		`{"small": 256}`:         "small must be a whole number of 8 bits, and not negative; found 256",
		`{"small": -1}`:          "small must be a whole number of 8 bits, and not negative; found -1",
		`{"percent": "1"}`:       `percent must be a number; found "1"`,
		`{"is-loud": 1}`:         "is-loud must be a boolean, true or false; found 1",
		`{"a-word": 1}`:          "a-word must be a text; found 1",
		`[1]`:                    "settings are not a JSON object: [1]",
	} {
		if _, why := settled(t, settings); !strings.HasPrefix(why, wanted) {
			t.Errorf("%s: %s", settings, why)
		}
	}
}

func TestTheSchemaHasTypesAndDefaults(t *testing.T) {
	settings, _ := settingsOf(&all{Percent: 1.5, Fast: 20, Word: "x"})
	wanted := `{"type":"object","additionalProperties":false,"properties":{` +
		`"percent":{"type":"number","default":1.5,"description":"how \"far\""},` +
		`"take-profit-percent":{"type":"number","default":0},"fast":{"type":"integer","default":20},` +
		`"small":{"type":"integer","minimum":0,"default":0},"is-loud":{"type":"boolean","default":false},` +
		`"a-word":{"type":"string","default":"x"}}}`
	if schema := schemaOf(settings); schema != wanted {
		t.Error(schema)
	}
}

type unfit struct{ Levels []float64 }

func (*unfit) Signal(*Tick) (*Signal, error) { return nil, nil }

func TestAFieldThatCannotBeASettingIsNamed(t *testing.T) {
	if _, err := Ask(&unfit{}, Closes(1)); err == nil || !strings.Contains(err.Error(), "the field Levels is a []float64") {
		t.Error(err)
	}
	if _, err := Ask(strategyFunc(nil), Closes(1)); err == nil || !strings.Contains(err.Error(), "pointer to a struct") {
		t.Error(err)
	}
}

type strategyFunc func(*Tick) (*Signal, error)

func (f strategyFunc) Signal(t *Tick) (*Signal, error) { return f(t) }

type asked struct{ signal func(*Tick) (*Signal, error) }

func (a *asked) Signal(t *Tick) (*Signal, error) { return a.signal(t) }

func TestWindowsAreTheSameHoweverOftenTheyAreAsked(t *testing.T) {
	prices := make([]float64, 2000)
	for i := range prices {
		prices[i] = float64(i + 1)
	}
	for _, every := range []int{1, 2, 5, 60, 500} {
		for _, count := range []int{1, 7, 61, 300} {
			questions := 0
			strategy := &asked{func(tick *Tick) (*Signal, error) {
				questions++
				closes, err := tick.Candles.Closes(count)
				candles, err2 := tick.Candles.Last(count)
				if longer, err := tick.Candles.Closes(count + 40); err != nil || (longer != nil && longer[40] != closes[0]) {
					t.Fatal(longer, err)
				}
				if _, err := tick.Candles.Last(count + 40); err != nil {
					t.Fatal(err)
				}
				if (closes == nil) != (tick.Price < float64(count)) || err != nil || err2 != nil || len(candles) != len(closes) {
					t.Fatalf("every %d, %d: %v of %d, %v %v", every, count, tick.Price, len(closes), err, err2)
				}
				for i := range closes {
					if wanted := tick.Price - float64(count-1-i); closes[i] != wanted || candles[i].Close != wanted {
						t.Fatalf("every %d, %d: %v", every, count, closes)
					}
				}
				return nil, nil
			}}
			test := Test{Candles: Closes(prices...), Every: every}
			if _, err := test.Run(strategy); err != nil || questions < 2000/every {
				t.Fatal(questions, err)
			}
		}
	}
}

func TestEverythingOfTheHostIsThere(t *testing.T) {
	prices := make([]float64, 130)
	for i := range prices {
		prices[i] = float64(i + 1)
	}
	test := Test{
		Candles: Closes(prices...), Others: map[string][]Candle{"ETH": Closes(prices[:120]...)},
		Trades: []Trade{{ID: "a"}, {ID: "b"}}, Memory: map[string][]byte{"n": {1}},
	}
	strategy := &asked{func(tick *Tick) (*Signal, error) {
		if tick.Price != 130 {
			return nil, nil
		}
		hours, err := tick.MarketCandles("TEST", "1h", 2)
		if err != nil || len(hours) != 2 || hours[1].Open != 61 || hours[1].High != 120 || hours[1].Volume != 60 {
			t.Error(hours, err)
		}
		if hours, err = tick.MarketCandles("ETH", "1h", 3); hours != nil || err != nil {
			t.Error(hours, err)
		}
		if _, err = tick.MarketCandles("XRP", "1h", 3); err == nil || err.(*Failure).Code != "unknown-symbol" {
			t.Error(err)
		}
		columns, err := tick.Columns("ETH", "1m", 2, "high", "volume")
		if err != nil || columns[0][0] != 119 || columns[0][1] != 120 || columns[1][1] != 1 {
			t.Error(columns, err)
		}
		if after, err := tick.CandlesAfter("ETH", "5m", hours0(tick), 100); err != nil || len(after) != 11 {
			t.Error(len(after), err)
		}
		if price, known, err := tick.AveragePrice("ETH"); price != 118 || !known || err != nil {
			t.Error(price, known, err)
		}
		if trades := tick.Trades(1); len(trades) != 1 || trades[0].ID != "b" {
			t.Error(trades)
		}
		if value := tick.Remembered("n"); len(value) != 1 {
			t.Error(value)
		}
		if err := tick.Remember("n", make([]byte, 17<<10)); err == nil || err.(*Failure).Code != "too-large" {
			t.Error(err)
		}
		if err := tick.Remember("m", []byte("2")); err != nil {
			t.Error(err)
		}
		tick.Forget("n")
		tick.Log(LevelWarn, "here")
		return &Signal{Position: Short, Minutes: Some(240.0)}, nil
	}}
	answers, err := test.Run(strategy)
	if err != nil || len(answers) != 130 || answers[129].Signal == nil {
		t.Fatal(err, len(answers))
	}
	if len(test.Memory) != 1 || string(test.Memory["m"]) != "2" || test.Log[0] != "warn here" {
		t.Error(test.Memory, test.Log)
	}
}

func hours0(tick *Tick) uint64 { return Closes(1)[0].OpenTimeMs + 60*minuteMs }

func TestAPanicIsAnErrorWithTheLinesOfTheStrategy(t *testing.T) {
	numbers := []float64{1}
	strategy := &asked{func(tick *Tick) (*Signal, error) { return &Signal{StopLoss: numbers[int(tick.Price)]}, nil }}
	_, err := Ask(strategy, Closes(3))
	var failure *Failure
	if !errors.As(err, &failure) || failure.Code != "panic" ||
		!strings.HasPrefix(failure.Message, "runtime error: index out of range [3] with length 1\n  sigbox.TestAPanic") ||
		!strings.Contains(failure.Message, "sigbox_test.go:") {
		t.Fatal(err)
	}
	_, err = Ask(&asked{func(*Tick) (*Signal, error) { panic(7) }}, Closes(3))
	if err == nil || !strings.HasPrefix(err.Error(), "candle 0: panic: 7\n") {
		t.Error(err)
	}
}

func TestABrokenPromiseIsFound(t *testing.T) {
	for buysBelow, isBroken := range map[float64]bool{100: true, 85: false} {
		strategy := &asked{func(tick *Tick) (*Signal, error) {
			if tick.Price < buysBelow {
				return &Signal{}, nil
			}
			tick.Quiet(math.MaxUint64, 90, 110)
			return nil, nil
		}}
		if _, err := Ask(strategy, Closes(101, 95, 80)); (err != nil) != isBroken {
			t.Error(buysBelow, err)
		}
	}
}

func TestNumbersOverAWindow(t *testing.T) {
	if Highest([]float64{1, 3, 2}) != 3 || Lowest([]float64{2, 1, 3}) != 1 || Mean([]float64{1, 2, 6}) != 3 {
		t.Error("Highest, Lowest or Mean")
	}
	if !math.IsInf(Highest(nil), -1) || !math.IsInf(Lowest(nil), 1) || !math.IsNaN(Mean(nil)) {
		t.Error("of none")
	}
}
