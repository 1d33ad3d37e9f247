package mirror

import (
	"encoding/json"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// Counters are what a mirror has served since it was made.
type Counters struct {
	Metadata int64     `json:"metadata_requests"`
	Targets  int64     `json:"target_requests"`
	Refused  int64     `json:"refused_requests"` // 4xx
	Bytes    int64     `json:"bytes_sent"`       // on the wire, headers included
	Last     time.Time `json:"last_request,omitzero"`
}

// meter counts while serving.
type meter struct {
	metadata, targets, refused, bytes, last atomic.Int64
}

func (m *meter) add(c Counters) Counters {
	c.Metadata += m.metadata.Load()
	c.Targets += m.targets.Load()
	c.Refused += m.refused.Load()
	c.Bytes += m.bytes.Load()
	if last := m.last.Load(); last > 0 {
		c.Last = time.Unix(last, 0).UTC()
	}
	return c
}

func readCounters(path string) Counters {
	var c Counters
	data, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(data, &c) != nil {
		return Counters{}
	}
	return c
}

var _ io.ReaderFrom = (*meteredConn)(nil)

// meteredListener counts the bytes of every connection. It must not hide io.ReaderFrom of the connection: the kernel
// copies files to the network only through it, and a wrapped ResponseWriter would triple the cost.
type meteredListener struct {
	net.Listener
	bytes *atomic.Int64
}

func (l meteredListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok {
		return &meteredConn{TCPConn: tcp, bytes: l.bytes}, err
	}
	return c, err
}

type meteredConn struct {
	*net.TCPConn
	bytes *atomic.Int64
}

func (c *meteredConn) Write(p []byte) (int, error) {
	n, err := c.TCPConn.Write(p)
	c.bytes.Add(int64(n))
	return n, err
}

func (c *meteredConn) ReadFrom(r io.Reader) (int64, error) {
	n, err := c.TCPConn.ReadFrom(r)
	c.bytes.Add(n)
	return n, err
}
