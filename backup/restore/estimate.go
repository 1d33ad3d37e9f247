package restore

// Estimate says how long a restore takes, and on what that rests.
type Estimate struct {
	Seconds float64 `json:"seconds"`
}
