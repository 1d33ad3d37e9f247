package svc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"time"

	"practicectl/internal/svc/schedule"
	"practicectl/internal/uerr"
)

// Agent talks to a running `practicectl agent run` over its socket. It is a [Manager], and through [Agent.Jobs] a
// schedule backend.
type Agent struct {
	socket string
	http   *http.Client
}

var _ Manager = (*Agent)(nil)

// NewAgent returns a client of the agent at socket. Nothing is dialled yet.
func NewAgent(socket string) *Agent {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", socket)
	}
	return &Agent{socket: socket, http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Info asks who is there. Error kind Unreachable: no agent runs.
func (a *Agent) Info(ctx context.Context) (AgentInfo, error) {
	var i AgentInfo
	err := a.call(ctx, "GET", "/v1/info", nil, &i)
	return i, err
}

// Shutdown asks the agent to stop its services and end. It returns when the agent has begun to; the socket disappears
// when it is done.
func (a *Agent) Shutdown(ctx context.Context) error {
	return a.call(ctx, "POST", "/v1/shutdown", nil, nil)
}

// Install writes or replaces the definition of a service.
func (a *Agent) Install(ctx context.Context, s Service) error {
	return a.call(ctx, "PUT", "/v1/services/"+s.Name, s, nil)
}

// Remove stops the service and forgets it.
func (a *Agent) Remove(ctx context.Context, name string) error {
	return a.call(ctx, "DELETE", "/v1/services/"+name, nil, nil)
}

// Start returns when the service is ready.
func (a *Agent) Start(ctx context.Context, name string) error {
	return a.call(ctx, "POST", "/v1/services/"+name+"/start", nil, nil)
}

// Stop returns when no process of the service is left.
func (a *Agent) Stop(ctx context.Context, name string) error {
	return a.call(ctx, "POST", "/v1/services/"+name+"/stop", nil, nil)
}

// Restart is Stop, then Start.
func (a *Agent) Restart(ctx context.Context, name string) error {
	return a.call(ctx, "POST", "/v1/services/"+name+"/restart", nil, nil)
}

// Status returns one service.
func (a *Agent) Status(ctx context.Context, name string) (Status, error) {
	var st Status
	err := a.call(ctx, "GET", "/v1/services/"+name, nil, &st)
	return st, err
}

// List returns all services in start order.
func (a *Agent) List(ctx context.Context) ([]Status, error) {
	var all []Status
	err := a.call(ctx, "GET", "/v1/services", nil, &all)
	return all, err
}

// Jobs is the agent's scheduler.
func (a *Agent) Jobs() schedule.Backend { return agentJobs{a} }

type agentJobs struct{ a *Agent }

func (agentJobs) Name() string { return "agent" }

func (j agentJobs) Install(ctx context.Context, job schedule.Job) (bool, error) {
	var r changedReply
	err := j.a.call(ctx, "PUT", "/v1/jobs/"+job.Name, job, &r)
	return r.Changed, err
}

func (j agentJobs) Remove(ctx context.Context, name string) (bool, error) {
	var r changedReply
	err := j.a.call(ctx, "DELETE", "/v1/jobs/"+name, nil, &r)
	return r.Changed, err
}

func (j agentJobs) List(ctx context.Context) ([]schedule.Entry, error) {
	var all []schedule.Entry
	err := j.a.call(ctx, "GET", "/v1/jobs", nil, &all)
	return all, err
}

func (a *Agent) call(ctx context.Context, method, path string, body, into any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://agent"+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	resp, err := a.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return uerr.New(uerr.Unreachable, "ask the agent at", a.socket, errors.Unwrap(err), "start it:  practicectl agent run")
	}
	defer resp.Body.Close()
	dec := json.NewDecoder(resp.Body)
	if resp.StatusCode != http.StatusOK {
		var w wireError
		if err := dec.Decode(&w); err != nil || w.Kind == "" {
			return uerr.New(uerr.Failed, "ask the agent at", a.socket, errors.New(resp.Status), "")
		}
		return w.error()
	}
	if into == nil {
		return nil
	}
	if err := dec.Decode(into); err != nil {
		return uerr.New(uerr.Failed, "read the agent's answer from", a.socket, err, "")
	}
	return nil
}
