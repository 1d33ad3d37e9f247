package testenv

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// Fault is what a [FaultProxy] does to the connections that are made while it is set.
type Fault struct {
	Hang         bool   // accepts and stays silent
	CutUp        int64  // > 0: breaks the connection after so many bytes sent to the server
	CutDown      int64  // > 0: breaks the connection after so many bytes of answers
	DropAnswer   bool   // lets requests through and breaks the connection when the first byte of an answer comes
	FlipUp       int64  // > 0: flips a bit of the FlipUp-th byte sent to the server
	FlipOften    bool   // flips it in every FlipUp-th byte
	Connections  int    // > 0: only so many connections are hurt, later ones work
	DropAnswerTo string // with DropAnswer: only on connections whose first bytes begin with this, such as "PUT "
}

// FaultProxy stands between a client and a real server on loopback and breaks what goes through.
type FaultProxy struct {
	URL string // "http://127.0.0.1:PORT"

	upstream string
	l        net.Listener
	mu       sync.Mutex
	fault    Fault
	hurt     int
	open     map[net.Conn]bool
	wg       sync.WaitGroup
}

// NewFaultProxy starts a proxy before the server at endpoint ("http://host:port"). It breaks nothing until Set.
func NewFaultProxy(t testing.TB, endpoint string) *FaultProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &FaultProxy{URL: "http://" + l.Addr().String(), upstream: strings.TrimPrefix(endpoint, "http://"), l: l, open: map[net.Conn]bool{}}
	p.wg.Go(p.serve)
	t.Cleanup(p.close)
	return p
}

// Set changes the fault for new connections and ends the open ones, so that no idle one is used again.
func (p *FaultProxy) Set(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.hurt = f, 0
	for c := range p.open {
		_ = c.Close() // meant to break
	}
}

// Hurt is how many connections got the fault since Set.
func (p *FaultProxy) Hurt() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hurt
}

func (p *FaultProxy) close() {
	_ = p.l.Close()
	p.Set(Fault{})
	p.wg.Wait()
}

func (p *FaultProxy) serve() {
	for {
		c, err := p.l.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.handle(c) })
	}
}

// take returns the fault for a new connection that begins with head.
func (p *FaultProxy) take(head string) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.fault
	if f == (Fault{}) || (f.Connections > 0 && p.hurt >= f.Connections) || !strings.HasPrefix(head, f.DropAnswerTo) {
		return Fault{}
	}
	p.hurt++
	return f
}

func (p *FaultProxy) track(c net.Conn, on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if on {
		p.open[c] = true
	} else {
		delete(p.open, c)
	}
}

func (p *FaultProxy) handle(down net.Conn) {
	p.track(down, true)
	defer p.track(down, false)
	defer down.Close()
	head := make([]byte, 4)
	if _, err := io.ReadFull(down, head); err != nil {
		return
	}
	f := p.take(string(head))
	if f.Hang {
		_, _ = io.Copy(io.Discard, down) // until the client gives up
		return
	}
	up, err := net.Dial("tcp", p.upstream)
	if err != nil {
		return
	}
	defer up.Close()
	both := sync.OnceFunc(func() { _ = up.Close(); _ = down.Close() })
	var wg sync.WaitGroup
	wg.Go(func() {
		defer both()
		src := io.MultiReader(strings.NewReader(string(head)), down)
		_, _ = io.Copy(up, &faultyStream{r: src, cut: f.CutUp, flip: f.FlipUp, often: f.FlipOften})
	})
	wg.Go(func() {
		defer both()
		answers := &faultyStream{r: up, cut: f.CutDown}
		if f.DropAnswer {
			_, _ = io.ReadFull(up, make([]byte, 1))
			return
		}
		_, _ = io.Copy(down, answers)
	})
	wg.Wait()
}

// faultyStream ends with an error after cut bytes and flips one bit of the flip-th byte,
// or of every flip-th.
type faultyStream struct {
	r         io.Reader
	cut, flip int64
	n         int64
	often     bool
}

func (s *faultyStream) Read(p []byte) (int, error) {
	if s.cut > 0 {
		if s.n >= s.cut {
			return 0, errors.New("cut")
		}
		p = p[:min(int64(len(p)), s.cut-s.n)]
	}
	n, err := s.r.Read(p)
	if s.flip > 0 {
		for i := s.flip - 1 - s.n%s.flip; i < int64(n) && (s.often || s.n < s.flip); i += s.flip {
			p[i] ^= 1
		}
	}
	s.n += int64(n)
	return n, err
}
