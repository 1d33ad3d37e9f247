package installer

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"practicectl/internal/atomicfile"
	"practicectl/internal/steps"
	"practicectl/internal/svc"
	"practicectl/internal/uerr"
	"practicectl/release"
)

// agent starts the supervisor, as the installed program: it must outlive the one that installs.
func (j *job) agent() steps.Step {
	a := j.i.o.Agent
	return steps.Func{
		ID: "agent", Action: "start the agent that supervises the services",
		On: func(ctx context.Context) (steps.State, error) {
			if a.Running(ctx) {
				return steps.Satisfied, nil
			}
			return steps.Change, nil
		},
		Do: func(ctx context.Context) error {
			program, err := j.i.program(release.Practicectl, release.Practicectl)
			if err != nil {
				return err
			}
			return a.Start(ctx, program)
		},
		Revert: a.Stop,
	}
}

func (j *job) databaseService() steps.Step {
	return j.service(svc.Database, "run the database as a service", func(ctx context.Context) (installed, error) {
		c, err := j.open(ctx)
		return installed{Service: databaseDefinition(j.i.o.Layout, c)}, err
	}, nil)
}

func (j *job) serverService() steps.Step {
	probe := func(ctx context.Context) error {
		return Probe(ctx, j.d.Listen, filepath.Join(j.i.o.Layout.Cred(), CACertFile), 90*time.Second)
	}
	return j.service(svc.Server, "run the core server at "+j.d.URL, func(context.Context) (installed, error) {
		program, err := j.i.serverProgram()
		if err != nil {
			return installed{}, err
		}
		reads, err := j.reads()
		return installed{ServerService(j.i.o.Layout, program, j.d.Listen, false), reads}, err
	}, probe)
}

// installed is what a service was last started with: the same again means nothing to do.
type installed struct {
	Service svc.Service `json:"service"`
	Reads   string      `json:"reads"` // SHA-256 of what the service reads when it starts
}

// reads is the hash of the settings and the certificate, which a running server does not read again.
func (j *job) reads() (string, error) {
	certificate, err := os.ReadFile(filepath.Join(j.i.o.Layout.Cred(), TLSCert))
	if err != nil {
		return "", err
	}
	settings, err := json.Marshal([]any{j.d.Practice, j.d.Listen, j.d.URL, j.d.Provider, j.d.PGBin, j.d.PGPort, j.d.Database})
	sum := sha256.Sum256(slices.Concat(settings, certificate))
	return hex.EncodeToString(sum[:]), err
}

// service installs a service, or replaces its definition, and has it running. What is installed is remembered in a file.
func (j *job) service(name, action string, define func(context.Context) (installed, error), probe func(context.Context) error) steps.Step {
	m, file := j.i.o.Services, j.i.serviceFile(name)
	return steps.Func{
		ID: name + " service", Action: action,
		On: func(ctx context.Context) (steps.State, error) {
			s, err := define(ctx)
			if err != nil {
				return steps.Change, nil // its component is not installed yet
			}
			want, err := s.encode()
			if err != nil {
				return steps.Blocked, err
			}
			got, err := os.ReadFile(file)
			if err != nil || string(got) != string(want) {
				return steps.Change, nil
			}
			if st, err := m.Status(ctx, name); err != nil || st.State != svc.Running {
				return steps.Change, nil
			}
			return steps.Satisfied, nil
		},
		Do: func(ctx context.Context) error {
			s, err := define(ctx)
			if err != nil {
				return err
			}
			text, err := s.encode()
			if err != nil {
				return err
			}
			if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o750), j.i.before().save(file)); err != nil {
				return cannot("keep", file, err)
			}
			changed := true
			if old, err := os.ReadFile(file); err == nil {
				changed = string(old) != string(text)
			}
			if err := m.Install(ctx, s.Service); err != nil {
				return err
			}
			start := m.Start
			if changed {
				start = m.Restart
			}
			if err := start(ctx, name); err != nil {
				return err
			}
			if err := atomicfile.WriteBytes(file, 0o640, text); err != nil {
				return cannot("write", file, err)
			}
			return nil
		},
		Revert: func(ctx context.Context) error {
			if err := j.i.before().restore(file); err != nil {
				return err
			}
			text, err := os.ReadFile(file)
			if err != nil { // there was none before
				_ = os.Remove(filepath.Dir(file)) // only when it is empty
				err = m.Remove(ctx, name)
				if uerr.KindOf(err) == uerr.Unreachable {
					return nil // no agent, so nothing of it runs
				}
				return err
			}
			var s installed
			if err := json.Unmarshal(text, &s); err != nil {
				return err
			}
			return errors.Join(m.Install(ctx, s.Service), m.Restart(ctx, name))
		},
		Proof: func(ctx context.Context) error {
			st, err := m.Status(ctx, name)
			if err != nil {
				return err
			}
			if st.State != svc.Running {
				return fmt.Errorf("the service is %s", st.State)
			}
			return call(ctx, probe)
		},
	}
}

// serviceFile remembers the definition of an installed service.
func (i *Installer) serviceFile(name string) string {
	return filepath.Join(i.o.Layout.Var(), "services", name+".json")
}

func (s installed) encode() ([]byte, error) {
	data, err := json.MarshalIndent(s, "", "  ")
	return append(data, '\n'), err
}

func call(ctx context.Context, fn func(context.Context) error) error {
	if fn == nil {
		return nil
	}
	return fn(ctx)
}

// Probe asks the core server on this machine for /readyz until it is ready or within has passed. Its certificate must be
// signed by the authority in caFile. Error kind: Failed.
func Probe(ctx context.Context, listen, caFile string, within time.Duration) error {
	url := "https://" + Local(listen) + "/readyz"
	fail := func(err error) error {
		return uerr.New(uerr.Failed, "wait for", url, err, "practicectl doctor")
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return fail(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return fail(errors.New("no certificate in " + caFile))
	}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS12}}}
	for end := time.Now().Add(within); ; {
		if err = ask(ctx, client, url); err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Now().After(end) {
			return fail(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func ask(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}
