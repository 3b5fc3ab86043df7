package taskclusterproxy

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

const (
	// mostConnections of one task are open at once; others wait to be accepted.
	mostConnections = 256
	// mostJudged are judged at once.
	mostJudged = 32
	// mostTurned are told at once why they are turned away; others are cut off.
	mostTurned = 32
	// farewell is how long who is turned away has to read why.
	farewell = 500 * time.Millisecond
)

// gate is a listener that accepts only connections that the judge lets in.
// Each is judged once, on its own, so that nobody waits for another.
type gate struct {
	net.Listener
	judge  func(near, far netip.AddrPort) error
	slots  chan struct{}
	judged chan struct{}
	turned chan struct{}
	passed chan net.Conn

	once   sync.Once
	closed chan struct{}
	ended  chan struct{}
}

func newGate(l net.Listener, judge func(near, far netip.AddrPort) error, slots chan struct{}) *gate {
	g := &gate{
		Listener: l, judge: judge, slots: slots,
		judged: make(chan struct{}, mostJudged), turned: make(chan struct{}, mostTurned),
		passed: make(chan net.Conn), closed: make(chan struct{}), ended: make(chan struct{}),
	}
	go g.run()
	return g
}

// Accept returns the next connection that was let in.
func (g *gate) Accept() (net.Conn, error) {
	select {
	case c := <-g.passed:
		return c, nil
	case <-g.ended:
		return nil, net.ErrClosed
	}
}

// Close returns when nothing of the gate is left but the connections it let in.
func (g *gate) Close() error {
	var err error
	g.once.Do(func() {
		close(g.closed)
		err = g.Listener.Close()
		<-g.ended
	})
	return err
}

func (g *gate) run() {
	var going sync.WaitGroup
	for {
		if !take(g.judged, g.closed) {
			break
		}
		c, err := g.Listener.Accept()
		if err != nil {
			<-g.judged
			if !g.passes() {
				break
			}
			continue
		}
		going.Go(func() {
			reason := g.admit(c)
			<-g.judged // who takes his time to go keeps nobody from being judged
			if reason != nil {
				g.turnAway(c, reason)
			}
		})
	}
	going.Wait()
	close(g.ended)
}

// passes waits out an error such as that of too many open files; any other
// comes back for as long as the task runs.
func (g *gate) passes() bool {
	const pause = 50 * time.Millisecond
	select {
	case <-g.closed:
		return false
	case <-time.After(pause):
		return true
	}
}

// take takes a place unless it is over.
func take(places chan<- struct{}, over <-chan struct{}) bool {
	select {
	case places <- struct{}{}:
		return true
	case <-over:
		return false
	}
}

// admit passes the connection on, or returns why it has to be turned away.
func (g *gate) admit(c net.Conn) error {
	near, far := addrPort(c.LocalAddr()), addrPort(c.RemoteAddr())
	if err := g.judge(near, far); err != nil {
		return err
	}
	if !take(g.slots, g.closed) {
		_ = c.Close()
		return nil
	}
	counted := &connection{Conn: c, leave: sync.OnceFunc(func() { <-g.slots })}
	select {
	case g.passed <- counted:
	case <-g.closed:
		_ = counted.Close()
	}
	return nil
}

func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	whole := tcp.AddrPort()
	return netip.AddrPortFrom(whole.Addr().Unmap(), whole.Port())
}

// turnAway says why and closes. It reads what the client is sending, as the
// answer could be lost otherwise.
func (g *gate) turnAway(c net.Conn, reason error) {
	defer c.Close()
	select {
	case g.turned <- struct{}{}:
		defer func() { <-g.turned }()
	default:
		return
	}
	_ = c.SetDeadline(time.Now().Add(farewell))
	text := fmt.Sprintf("{\"code\":\"NotYours\",\"message\":%q}", "this proxy belongs to a task, and the caller is none of its processes: "+reason.Error())
	_, err := fmt.Fprintf(c, "HTTP/1.1 %d Forbidden\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		http.StatusForbidden, len(text), text)
	if half, ok := c.(*net.TCPConn); ok && err == nil && half.CloseWrite() == nil {
		_, _ = io.CopyN(io.Discard, c, mostHeader)
	}
}

// connection gives its place back when it is closed.
type connection struct {
	net.Conn
	leave func()
}

// Close closes it. Closing twice is allowed.
func (c *connection) Close() error {
	err := c.Conn.Close()
	c.leave()
	return err
}
