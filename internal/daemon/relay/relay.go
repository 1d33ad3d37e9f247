// Package relay is the command line of practice-relay: serve, config, version.
package relay

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"net"

	"practicectl/internal/daemon/cmdline"
	"practicectl/internal/uerr"
	"practicectl/relay"
)

const defaultConfig = "/etc/practice/relay.toml"

// Main runs practice-relay and returns its exit code.
func Main(ctx context.Context, args []string, s cmdline.Streams) int {
	return cmdline.Program{
		Name:  "practice-relay",
		Short: "practice-relay keeps appointment requests from the web, encrypted, until the practice fetches them.",
		Commands: []cmdline.Command{
			{Name: "serve", Short: "Answer on the configured address", Setup: serve},
			{Name: "config", Short: "Check the configuration and show it", Setup: config},
		},
	}.Main(ctx, args, s)
}

func serve(f *flag.FlagSet) func(context.Context, cmdline.Streams, []string) error {
	path := f.String("config", defaultConfig, "configuration file")
	return func(ctx context.Context, s cmdline.Streams, _ []string) error {
		c, err := relay.Load(*path)
		if err != nil {
			return err
		}
		l, scheme, err := listen(c)
		if err != nil {
			return err
		}
		fmt.Fprintf(s.Out, "%s://%s\n", scheme, l.Addr())
		return cmdline.Serve(ctx, l, relay.Handler())
	}
}

func listen(c relay.Config) (net.Listener, string, error) {
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, "", uerr.New(uerr.Precond, "listen on", c.Listen, err, "stop the program that has the port, or change listen in the configuration")
	}
	if c.TLSCert == "" {
		return l, "http", nil
	}
	pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
	if err != nil {
		_ = l.Close() // nothing was accepted yet
		return nil, "", uerr.New(uerr.Config, "read the certificate", c.TLSCert, err, "correct tls_cert and tls_key")
	}
	return tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}), "https", nil
}

func config(f *flag.FlagSet) func(context.Context, cmdline.Streams, []string) error {
	path := f.String("config", defaultConfig, "configuration file")
	return func(_ context.Context, s cmdline.Streams, _ []string) error {
		c, err := relay.Load(*path)
		if err != nil {
			return err
		}
		return cmdline.JSON(s.Out, c)
	}
}
