package dir_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"practicectl/internal/objstore"
	"practicectl/internal/objstore/dir"
)

const writerDir = "DIR_TEST_WRITER"

// TestKilledWriterLeavesWholeObjects kills a process that writes objects named by their own hash, many times.
func TestKilledWriterLeavesWholeObjects(t *testing.T) {
	if path := os.Getenv(writerDir); path != "" {
		writeForEver(t, path)
		return
	}
	path := t.TempDir()
	for range 8 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledWriterLeavesWholeObjects$")
		cmd.Env = append(os.Environ(), writerDir+"="+path)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30*time.Millisecond + rand.N(60*time.Millisecond))
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed, as wanted
	}
	st, err := dir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for info, err := range st.List(context.Background(), "p/") {
		if err != nil {
			t.Fatal(err)
		}
		n++
		r, err := st.Get(context.Background(), info.Key, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		if _, err := io.Copy(h, r); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if want := "p/" + hex.EncodeToString(h.Sum(nil)); info.Key != want {
			t.Fatalf("%s holds other bytes", info.Key)
		}
	}
	if n == 0 {
		t.Fatal("no object was written at all")
	}
}

func writeForEver(t *testing.T, path string) {
	st, err := dir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for {
		text := strings.Repeat(time.Now().String(), 1+rand.IntN(3000))
		sum := sha256.Sum256([]byte(text))
		if _, err := st.Put(context.Background(), "p/"+hex.EncodeToString(sum[:]), strings.NewReader(text), int64(len(text)), objstore.PutOptions{IfAbsent: rand.IntN(2) == 0}); err != nil {
			t.Fatal(err)
		}
	}
}
