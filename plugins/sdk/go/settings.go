package sigbox

import (
	"math"
	"reflect"
	"strconv"
	"strings"
)

// A setting is an exported field of the strategy's struct.
type setting struct {
	name, doc string
	value     reflect.Value
}

// settingsOf finds the settings of a strategy. An error says which field cannot be one.
func settingsOf(strategy any) ([]setting, error) {
	pointer := reflect.ValueOf(strategy)
	if pointer.Kind() != reflect.Pointer || pointer.IsNil() || pointer.Elem().Kind() != reflect.Struct {
		return nil, refusal("sigbox.Export needs a pointer to a struct, such as &dip{}")
	}
	structure := pointer.Elem()
	var settings []setting
	for i := range structure.NumField() {
		field := structure.Type().Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !field.IsExported() || field.Anonymous || name == "-" {
			continue
		}
		if name == "" {
			name = kebab(field.Name)
		}
		value := structure.Field(i)
		if kindOf(value) == "" {
			return nil, refusal("the field " + field.Name + " is a " + field.Type.String() + ", which cannot be a setting: " +
				"begin its name with a small letter, or give it the tag `json:\"-\"`")
		}
		settings = append(settings, setting{name, field.Tag.Get("doc"), value})
	}
	return settings, nil
}

// kebab makes take-profit-percent of TakeProfitPercent.
func kebab(name string) string {
	var kebab []byte
	for i := range len(name) {
		letter := name[i]
		if 'A' <= letter && letter <= 'Z' {
			followsSmall := i > 0 && !('A' <= name[i-1] && name[i-1] <= 'Z')
			beginsWord := i > 0 && i+1 < len(name) && 'a' <= name[i+1] && name[i+1] <= 'z'
			if followsSmall || beginsWord {
				kebab = append(kebab, '-')
			}
			letter += 'a' - 'A'
		}
		kebab = append(kebab, letter)
	}
	return string(kebab)
}

// kindOf is the type of a setting, as JSON Schema says it; empty: it cannot be one.
func kindOf(value reflect.Value) string {
	switch {
	case value.Kind() == reflect.Bool:
		return "boolean"
	case value.CanInt(), value.CanUint():
		return "integer"
	case value.CanFloat():
		return "number"
	case value.Kind() == reflect.String:
		return "string"
	}
	return ""
}

// schemaOf is the JSON Schema of settings, with their values as the defaults.
func schemaOf(settings []setting) string {
	var b strings.Builder
	b.WriteString(`{"type":"object","additionalProperties":false,"properties":{`)
	for i, s := range settings {
		if i > 0 {
			b.WriteByte(',')
		}
		kind := kindOf(s.value)
		b.WriteString(quoted(s.name) + `:{"type":"` + kind + `"`)
		if kind == "integer" && s.value.CanUint() {
			b.WriteString(`,"minimum":0`)
		}
		if text := textOfValue(s.value); text != "" {
			b.WriteString(`,"default":` + text)
		}
		if s.doc != "" {
			b.WriteString(`,"description":` + quoted(s.doc))
		}
		b.WriteByte('}')
	}
	b.WriteString("}}")
	return b.String()
}

// textOfValue is the JSON of a setting; empty: JSON has no such number.
func textOfValue(value reflect.Value) string {
	switch {
	case value.Kind() == reflect.Bool:
		return strconv.FormatBool(value.Bool())
	case value.CanInt():
		return strconv.FormatInt(value.Int(), 10)
	case value.CanUint():
		return strconv.FormatUint(value.Uint(), 10)
	case value.CanFloat():
		if math.IsNaN(value.Float()) || math.IsInf(value.Float(), 0) {
			return ""
		}
		return strconv.FormatFloat(value.Float(), 'g', -1, 64)
	}
	return quoted(value.String())
}

// settle writes the operator's settings, a JSON object, into the strategy.
func settle(settings []setting, text string) error {
	at := reader{text: text}
	if !at.take('{') {
		return refusal("settings are not a JSON object: " + text)
	}
	for more := !at.take('}'); more; more = at.take(',') {
		name, ok := at.string()
		if !ok || !at.take(':') {
			return refusal("settings are not a JSON object: " + text)
		}
		if err := set(settings, name, at.value()); err != nil {
			return err
		}
	}
	return nil
}

func set(settings []setting, name, found string) error {
	var known []string
	for _, s := range settings {
		if s.name == name {
			if wanted := assign(s.value, found); wanted != "" {
				return refusal(name + " must be a " + wanted + "; found " + found)
			}
			return nil
		}
		known = append(known, s.name)
	}
	if known == nil {
		known = []string{"none"}
	}
	return refusal("there is no setting " + name + "; there are: " + strings.Join(known, ", "))
}

// assign writes a JSON value into a setting. It returns what the setting must be, if the value is not that.
func assign(value reflect.Value, found string) string {
	number, err := strconv.ParseFloat(found, 64)
	isNumber := err == nil && found[0] != '+' && !math.IsInf(number, 0)
	switch {
	case value.Kind() == reflect.Bool:
		if found != "true" && found != "false" {
			return "boolean, true or false"
		}
		value.SetBool(found == "true")
	case value.Kind() == reflect.String:
		at := reader{text: found}
		text, ok := at.string()
		if !ok {
			return "text"
		}
		value.SetString(text)
	case value.CanFloat():
		if !isNumber {
			return "number"
		}
		value.SetFloat(number)
	case !isNumber || number != math.Trunc(number) || math.Abs(number) > 1<<53:
		return "whole number"
	case value.CanInt():
		if value.OverflowInt(int64(number)) {
			return "whole number of " + strconv.Itoa(value.Type().Bits()) + " bits"
		}
		value.SetInt(int64(number))
	default:
		if number < 0 || value.OverflowUint(uint64(number)) {
			return "whole number of " + strconv.Itoa(value.Type().Bits()) + " bits, and not negative"
		}
		value.SetUint(uint64(number))
	}
	return ""
}

func refusal(message string) error { return &Failure{Code: "settings", Message: message, GiveUp: true} }

// A reader reads JSON that another program wrote. encoding/json would more than double the size of a component.
type reader struct {
	text string
	at   int
}

func (r *reader) skipSpace() {
	for r.at < len(r.text) && strings.IndexByte(" \t\r\n", r.text[r.at]) >= 0 {
		r.at++
	}
}

func (r *reader) take(sign byte) bool {
	r.skipSpace()
	if r.at < len(r.text) && r.text[r.at] == sign {
		r.at++
		return true
	}
	return false
}

// string takes a string, without its quotes and escapes.
func (r *reader) string() (string, bool) {
	if !r.take('"') {
		return "", false
	}
	var text []byte
	for r.at < len(r.text) {
		letter := r.text[r.at]
		r.at++
		switch {
		case letter == '"':
			return string(text), true
		case letter != '\\':
			text = append(text, letter)
		case r.at < len(r.text) && r.text[r.at] == 'u':
			code := r.code()
			if 0xd800 <= code && code < 0xdc00 && strings.HasPrefix(r.text[r.at:], `\u`) {
				r.at++
				code = 0x10000 + (code-0xd800)<<10 + (r.code() - 0xdc00)
			}
			text = append(text, string(rune(code))...)
		case r.at < len(r.text):
			escaped := r.text[r.at]
			r.at++
			if at := strings.IndexByte("bfnrt", escaped); at >= 0 {
				escaped = "\b\f\n\r\t"[at]
			}
			text = append(text, escaped)
		}
	}
	return "", false
}

// code takes the u of an escape, and its four digits.
func (r *reader) code() int {
	digits := r.text[r.at+1 : min(r.at+5, len(r.text))]
	r.at = min(r.at+5, len(r.text))
	code, _ := strconv.ParseUint(digits, 16, 32)
	return int(code)
}

// value takes a value of any type, as it is written.
func (r *reader) value() string {
	r.skipSpace()
	from, depth := r.at, 0
	for r.at < len(r.text) {
		switch r.text[r.at] {
		case '"':
			r.string()
			continue
		case '{', '[':
			depth++
		case '}', ']', ',':
			if depth == 0 {
				return strings.TrimSpace(r.text[from:r.at])
			}
			if r.text[r.at] != ',' {
				depth--
			}
		}
		r.at++
	}
	return strings.TrimSpace(r.text[from:])
}

// quoted is a text as JSON.
func quoted(text string) string {
	b := []byte{'"'}
	for i := range len(text) {
		switch letter := text[i]; {
		case letter == '"' || letter == '\\':
			b = append(b, '\\', letter)
		case letter < ' ':
			b = append(b, `\u00`...)
			b = append(b, "0123456789abcdef"[letter>>4], "0123456789abcdef"[letter&15])
		default:
			b = append(b, letter)
		}
	}
	return string(append(b, '"'))
}
