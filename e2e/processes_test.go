package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// process is one that belongs to a script: the script's folder is on its command line or in its environment.
type process struct {
	pid  int
	line string // the command line, blanks between the words
}

// processesOf finds what runs for a script.
func processesOf(workDir string) []process {
	var found []process
	entries, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil
	}
	for _, dir := range entries {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == os.Getpid() {
			continue
		}
		line, errL := os.ReadFile(filepath.Join(dir, "cmdline"))
		environ, errE := os.ReadFile(filepath.Join(dir, "environ"))
		if errL != nil || errE != nil || len(line) == 0 { // ended, another user's, or a zombie
			continue
		}
		all := append(append(line, 0), environ...)
		if bytes.Contains(all, []byte(workDir+"/")) || bytes.Contains(all, []byte("="+workDir+"\x00")) {
			found = append(found, process{pid, strings.TrimSpace(strings.ReplaceAll(string(line), "\x00", " "))})
		}
	}
	return found
}

// matching are the processes of a script whose command line contains text.
func matching(workDir, text string) []process {
	var found []process
	for _, p := range processesOf(workDir) {
		if strings.Contains(p.line, text) {
			found = append(found, p)
		}
	}
	return found
}

// endAll ends what a script left running: politely first, so that PostgreSQL gives its memory back.
func endAll(e *testscript.Env) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		told := map[int]bool{}
		for range 60 {
			left := processesOf(e.WorkDir)
			if len(left) == 0 {
				return
			}
			for _, p := range left {
				if !told[p.pid] { // a second polite signal means "at once"
					_ = syscall.Kill(p.pid, signal) // it may have ended by now
					told[p.pid] = true
				}
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}
