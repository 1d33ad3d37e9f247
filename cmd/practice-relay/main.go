// Command practice-relay keeps web appointment requests, encrypted, until the practice fetches them.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"practicectl/internal/daemon/cmdline"
	"practicectl/internal/daemon/relay"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := relay.Main(ctx, os.Args[1:], cmdline.Streams{Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv, Now: time.Now})
	stop()
	os.Exit(code)
}
