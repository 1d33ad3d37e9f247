// Command practicectl installs, backs up, restores and updates a practice.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"practicectl/internal/cli"
)

func main() {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		cancel(cli.Signal{Signal: <-signals})
		<-signals // a second signal does not wait for the clean-up
		os.Exit(130)
	}()
	os.Exit(cli.Main(ctx, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv, Now: time.Now}))
}
