package pgcluster

import (
	"strings"
	"testing"
	"time"
)

func TestTheMachineIsMeasured(t *testing.T) {
	memory := machineMemory()
	if memory < 256*mib {
		t.Errorf("the machine has %d bytes of memory", memory)
	}
	if boot := bootTime(); boot.IsZero() || boot.After(time.Now()) {
		t.Errorf("the machine was started at %v", boot)
	}
	c := &Cluster{Data: "/tmp/pg", SocketDir: "/tmp", Port: DefaultPort}
	conf, err := c.conf(t.Context(), Settings{Extra: map[string]string{"wal_compression": "pglz"}})
	want := "shared_buffers = '" + megabytes(clamp(memory/4, 32*mib, 8*gib)) + "'"
	if err != nil || !strings.Contains(conf, want) {
		t.Errorf("want %s, %v in\n%s", want, err, conf)
	}
}
