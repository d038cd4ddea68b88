//go:build !wasip1

package sigbox

// Export makes a strategy the component's. Call it from init. The strategy is a pointer to a struct: its exported fields
// are the settings, and their values are the defaults. They may be bool, string and any integer or float. TakeProfit is
// take-profit in the operator's file, unless a tag `json:"…"` names it; a tag `doc:"…"` explains it to tools; `json:"-"`
// says that it is none. Settings that are unknown or have another type are refused by name.
//
// Outside of a component, as in a test, it does nothing.
func Export(Info, Strategy) {}
