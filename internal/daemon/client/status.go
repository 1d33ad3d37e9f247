package client

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"strings"
	"time"

	"practicectl/client"
	"practicectl/internal/buildinfo"
	"practicectl/internal/daemon/cmdline"
	"practicectl/internal/uerr"
)

// report is the JSON document of "status".
type report struct {
	Version string         `json:"version"`
	Server  *client.Server `json:"server"`           // null: not connected
	Daemon  string         `json:"daemon,omitempty"` // URL of the running daemon
	Modules []moduleRow    `json:"modules"`
}

type moduleRow struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	Error   string `json:"error,omitempty"` // why it is not loaded
}

func status(f *flag.FlagSet) func(context.Context, cmdline.Streams, []string) error {
	state, modules := stateFlag(f), prefixFlag(f)
	asJSON := f.Bool("json", false, "print JSON")
	return func(ctx context.Context, s cmdline.Streams, _ []string) error {
		st, err := state(s)
		if err != nil {
			return err
		}
		list, err := modules(s)
		if err != nil {
			return err
		}
		rep := report{Version: buildinfo.Version(), Modules: []moduleRow{}}
		switch known, err := st.Server(); {
		case err == nil:
			rep.Server = &known
		case uerr.KindOf(err) != uerr.NotFound:
			return err
		}
		installed, refused, err := list()
		if err != nil {
			return err
		}
		for _, m := range installed {
			rep.Modules = append(rep.Modules, moduleRow{Name: m.Name, Version: m.Version})
		}
		for _, r := range refused {
			rep.Modules = append(rep.Modules, moduleRow{Name: r.Name, Error: r.Err.Error()})
		}
		if r, ok := st.Running(); ok && alive(ctx, r.URL) {
			rep.Daemon = r.URL
		}
		if *asJSON {
			return cmdline.JSON(s.Out, rep)
		}
		return show(s, rep)
	}
}

func alive(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/livez", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	return err == nil && resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

func show(s cmdline.Streams, rep report) error {
	var b strings.Builder
	server, daemon := "not connected (practice-client connect URL --fingerprint F)", "not running (practice-client serve)"
	if rep.Server != nil {
		server = rep.Server.URL
	}
	if rep.Daemon != "" {
		daemon = rep.Daemon
	}
	fmt.Fprintf(&b, "Version  %s\nServer   %s\nDaemon   %s\n", rep.Version, server, daemon)
	for _, m := range rep.Modules {
		if m.Error != "" {
			fmt.Fprintf(&b, "Module   %s  NOT LOADED: %s\n", m.Name, m.Error)
			continue
		}
		fmt.Fprintf(&b, "Module   %s %s\n", m.Name, m.Version)
	}
	_, err := fmt.Fprint(s.Out, b.String())
	return err
}
