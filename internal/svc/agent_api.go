package svc

import (
	"encoding/json"
	"errors"
	"net/http"

	"practicectl/internal/uerr"
)

// AgentInfo says which agent answers.
type AgentInfo struct {
	PID     int    `json:"pid"`
	Version string `json:"version"`
}

// maxRequest bounds what the agent reads from a client.
const maxRequest = 1 << 20

// wireError carries an error over the socket, so that the client's exit code and hint are the agent's.
type wireError struct {
	Kind    string `json:"kind"`
	Op      string `json:"op"`
	Subject string `json:"subject"`
	Why     string `json:"why"`
	Hint    string `json:"hint"`
}

func toWire(err error) wireError {
	w := wireError{Kind: uerr.KindOf(err).String(), Why: err.Error(), Hint: uerr.HintOf(err)}
	var e *uerr.Error
	if errors.As(err, &e) {
		w.Op, w.Subject = e.Op, e.Subject
		if e.Err != nil {
			w.Why = e.Err.Error()
		}
	}
	return w
}

func (w wireError) error() error {
	kind := uerr.Failed
	for _, k := range uerr.Kinds {
		if k.Name == w.Kind {
			kind = k.Kind
		}
	}
	return uerr.New(kind, w.Op, w.Subject, errors.New(w.Why), w.Hint)
}

func answer(rw http.ResponseWriter, v any, err error) {
	rw.Header().Set("Content-Type", "application/json")
	if err != nil {
		rw.WriteHeader(http.StatusUnprocessableEntity)
		v = toWire(err)
	}
	_ = json.NewEncoder(rw).Encode(v) // the client is gone: nobody to tell
}

func readBody(rw http.ResponseWriter, req *http.Request, v any) error {
	if err := json.NewDecoder(http.MaxBytesReader(rw, req.Body, maxRequest)).Decode(v); err != nil {
		return uerr.New(uerr.Usage, "read the request", "", err, "")
	}
	return nil
}

type changedReply struct {
	Changed bool `json:"changed"`
}
