package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
)

// rememberAgent notes the agent that install started, for `demo down`.
func (s *story) rememberAgent(ctx context.Context) error {
	var status struct {
		Agent struct {
			PID int `json:"pid"`
		} `json:"agent"`
	}
	if err := s.clinic.run(ctx, &status, "status"); err != nil {
		return err
	}
	if status.Agent.PID == 0 {
		return errors.New("no agent runs after the installation")
	}
	return s.state.add(process{Name: "agent", PID: status.Agent.PID, Log: filepath.Join(s.layout.Log(), "agent.log")})
}

// expectVersion asks the program on the disk and the running server which version they are.
func (s *story) expectVersion(ctx context.Context, want string) error {
	var info struct {
		Version string `json:"version"`
	}
	if err := s.clinic.run(ctx, &info, "version"); err != nil {
		return err
	}
	if info.Version != want {
		return fmt.Errorf("practicectl is version %s, want %s", info.Version, want)
	}
	client, err := trusting(s.summary.CA)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.summary.URL+"/readyz", nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(req)
	if err != nil {
		return err
	}
	var ready struct {
		Version string `json:"version"`
	}
	err = json.NewDecoder(answer.Body).Decode(&ready)
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK || (ready.Version != "" && ready.Version != want) {
		return fmt.Errorf("the server answers %s as version %q, want %s", answer.Status, ready.Version, want)
	}
	return nil
}

// ending stops everything again when nothing is to be left running.
func (s *story) ending() error {
	s.state.URL = s.summary.URL
	s.summary.Running = !s.o.Stop
	if s.o.Stop {
		if err := s.state.stop(s.o.Dir); err != nil {
			return err
		}
		s.state.Processes = nil
	}
	return s.state.save()
}
