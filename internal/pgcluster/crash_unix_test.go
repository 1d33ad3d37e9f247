//go:build !windows

package pgcluster_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"practicectl/internal/pgcluster"
	"practicectl/internal/testenv"
)

func TestStartAfterKillAndAfterPowerCut(t *testing.T) {
	for _, major := range testenv.PGMajors {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			c := made(t, major, map[string]string{"fsync": "off"})
			if err := c.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			st := wantState(t, c, pgcluster.Running)
			if err := syscall.Kill(st.PID, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
				if st, err := c.Status(t.Context()); err != nil || st.State == pgcluster.Stopped || time.Now().After(deadline) {
					break
				}
			}
			if err := c.Start(t.Context()); err != nil {
				t.Fatalf("start after kill -9: %v", err)
			}
			if err := c.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			stranger := exec.CommandContext(t.Context(), "sleep", "60")
			c.Credential(stranger)
			if err := stranger.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = stranger.Process.Kill(); _ = stranger.Wait() }()
			pid := fmt.Sprintf("%d\n%s\n1000000000\n%d\n%s\n\n 1 1\nready   \n", stranger.Process.Pid, c.Data, c.Port, c.SocketDir)
			if err := os.WriteFile(filepath.Join(c.Data, "postmaster.pid"), []byte(pid), 0o600); err != nil {
				t.Fatal(err)
			}
			wantState(t, c, pgcluster.Stopped)
			if err := c.Start(t.Context()); err != nil {
				t.Fatalf("start after a power cut, with the number in use: %v", err)
			}
		})
	}
}
