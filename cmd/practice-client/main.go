// Command practice-client shows the installed modules of a practice on a workstation.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"practicectl/internal/daemon/client"
	"practicectl/internal/daemon/cmdline"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := client.Main(ctx, os.Args[1:], cmdline.Streams{Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv, Now: time.Now})
	stop()
	os.Exit(code)
}
