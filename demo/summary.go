package demo

import "time"

// Summary is what happened, for the table at the end.
type Summary struct {
	Steps    []StepDone `json:"steps"`
	URL      string     `json:"url"`
	SignIns  []SignIn   `json:"sign_ins"`
	Password string     `json:"password"` // of the invented people of the demo; it protects nothing
	CA       string     `json:"ca"`       // certificate to trust in the browser
	Prefix   string     `json:"prefix"`
	Seconds  float64    `json:"seconds"`
	Running  bool       `json:"running"`
}

// StepDone is one line of the table.
type StepDone struct {
	Name    string  `json:"name"`
	Result  string  `json:"result"`
	Seconds float64 `json:"seconds"`
}

// SignIn is somebody to sign in as.
type SignIn struct {
	Login string `json:"login"`
	Name  string `json:"name"`
	Role  string `json:"role"`
}

// clock measures the steps.
func (s *Summary) add(name, result string, began time.Time) {
	s.Steps = append(s.Steps, StepDone{Name: name, Result: result, Seconds: time.Since(began).Seconds()})
}
