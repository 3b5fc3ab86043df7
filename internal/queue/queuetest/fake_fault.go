package queuetest

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// FaultKind says how an answer goes wrong.
type FaultKind string

// The faults. Those up to FaultRedirect happen instead of the call, the others
// after the queue has processed it.
const (
	FaultStatus   FaultKind = "status"   // Status and RetryAfter are answered
	FaultReset    FaultKind = "reset"    // the connection is reset before the call is processed
	FaultHang     FaultKind = "hang"     // nothing is answered until the client gives up, or for Delay
	FaultGarbage  FaultKind = "garbage"  // 200 with an HTML page
	FaultOversize FaultKind = "oversize" // 200 with Bytes bytes of JSON white space, 1 GiB by default
	FaultRedirect FaultKind = "redirect" // 307 to /elsewhere
	FaultCut      FaultKind = "cut"      // putData: the connection is reset after Bytes bytes of data
	FaultLatency  FaultKind = "latency"  // the call is processed after Delay
	FaultDrop     FaultKind = "drop"     // the connection is reset instead of an answer
	FaultTruncate FaultKind = "truncate" // the connection ends after Bytes bytes of the answer's body, half by default
	FaultDrip     FaultKind = "drip"     // the answer comes byte by byte, every Delay, 1 s by default
)

// Fault is a rule for the calls of one endpoint. The first rule that applies
// to a call is used.
type Fault struct {
	Endpoint   string // as in Call; empty: every
	Kind       FaultKind
	Skip       int     // calls left alone first
	Every      int     // then every n-th; zero: each
	Max        int     // at most so often; zero: without end
	Chance     float64 // with this probability; zero: always
	Status     int     // 503 by default
	RetryAfter time.Duration
	Delay      time.Duration
	Bytes      int64
}

type activeFault struct {
	Fault
	seen, hits int
}

// Inject adds rules.
func (f *Fake) Inject(faults ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fault := range faults {
		byDefault(&fault.Status, http.StatusServiceUnavailable)
		f.faults = append(f.faults, activeFault{Fault: fault})
	}
}

// ClearFaults removes all rules.
func (f *Fake) ClearFaults() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = nil
}

// pick returns the fault for a call, under the lock.
func (f *Fake) pick(endpoint string) Fault {
	for i := range f.faults {
		rule := &f.faults[i]
		if rule.Endpoint != "" && rule.Endpoint != endpoint {
			continue
		}
		rule.seen++
		n := rule.seen - rule.Skip - 1
		switch {
		case n < 0, rule.Every > 1 && n%rule.Every != 0:
		case rule.Max > 0 && rule.hits >= rule.Max:
		case rule.Chance > 0 && f.random.Float64() >= rule.Chance:
		default:
			rule.hits++
			return rule.Fault
		}
	}
	return Fault{}
}

// before applies a fault that happens instead of the call, if it is one.
func (x *exchange) before() (done bool) {
	switch fault := x.fault; fault.Kind {
	case FaultStatus:
		if fault.RetryAfter > 0 {
			x.w.Header().Set("Retry-After", strconv.Itoa(int(fault.RetryAfter.Seconds())))
		}
		x.answer(refuse(fault.Status, http.StatusText(fault.Status), "injected fault"))
	case FaultReset:
		reset(x.w)
	case FaultHang:
		if fault.Delay == 0 {
			fault.Delay = 24 * time.Hour
		}
		x.pause(fault.Delay)
		reset(x.w)
	case FaultGarbage:
		x.w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(x.w, "<html><body>Welcome to the hotel. Please accept our terms.</body></html>")
	case FaultOversize:
		x.oversize()
	case FaultRedirect:
		http.Redirect(x.w, x.r, x.f.URL+"/elsewhere", http.StatusTemporaryRedirect)
	case FaultLatency:
		return !x.pause(fault.Delay)
	default:
		return false
	}
	return true
}

// pause waits unless the client or the fake goes away first.
func (x *exchange) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-x.r.Context().Done():
	case <-x.f.closed:
	}
	return false
}

func (x *exchange) oversize() {
	left := x.fault.Bytes
	byDefault(&left, 1<<30)
	x.w.Header().Set("Content-Type", "application/json")
	chunk := bytes.Repeat([]byte(" "), 1<<16)
	for left > 0 {
		n, err := x.w.Write(chunk[:min(left, int64(len(chunk)))])
		if err != nil {
			return
		}
		left -= int64(n)
	}
}

// after sends an answer the way the fault wants it.
func (x *exchange) after(status int, body []byte) {
	switch x.fault.Kind {
	case FaultDrop:
		reset(x.w)
	case FaultTruncate:
		x.truncate(status, body)
	case FaultDrip:
		delay := x.fault.Delay
		byDefault(&delay, time.Second)
		x.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		x.w.WriteHeader(status)
		for i := range body {
			if _, err := x.w.Write(body[i : i+1]); err != nil || http.NewResponseController(x.w).Flush() != nil || !x.pause(delay) {
				return
			}
		}
	default:
		x.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		x.w.WriteHeader(status)
		_, _ = x.w.Write(body) // the client may be gone
	}
}

func (x *exchange) truncate(status int, body []byte) {
	keep := int(x.fault.Bytes)
	if keep == 0 {
		keep = len(body) / 2
	}
	conn, _, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	header := x.w.Header().Clone()
	header.Set("Date", x.f.now().UTC().Format(http.TimeFormat))
	header.Set("Content-Length", strconv.Itoa(len(body)))
	fmt.Fprintf(conn, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	_ = header.Write(conn) // the client may be gone
	fmt.Fprintf(conn, "\r\n%s", body[:min(keep, len(body))])
}

// reset ends a connection without an answer.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // a plain close would do as well
	}
	conn.Close()
}
