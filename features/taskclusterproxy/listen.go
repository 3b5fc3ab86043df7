package taskclusterproxy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strconv"
	"syscall"
)

const (
	// portStep is between the ports of two tasks, as the official worker has it.
	portStep = 4
	// freeTries is how often another free port is chosen, when the one that the
	// first address got is taken at the second.
	freeTries = 3
	mostPort  = 65535
)

// ports are those to try, in order.
func (c Config) ports() []int {
	if c.Port == 0 {
		return make([]int, freeTries)
	}
	var ports []int
	for port := c.Port; len(ports) < max(c.Tasks, 1) && port <= mostPort; port += portStep {
		ports = append(ports, port)
	}
	return ports
}

// listen opens the first port that is free at all loopback addresses.
func listen(ctx context.Context, ports []int) (listeners []net.Listener, port int, err error) {
	for _, want := range ports {
		listeners, port, err = listenAt(ctx, want)
		if err == nil {
			return listeners, port, nil
		}
	}
	if ports[0] == 0 {
		return nil, 0, fmt.Errorf("cannot listen on a free port: %w", err)
	}
	what := "free taskclusterProxyPort, or set it to 0 in the worker's configuration for any free port"
	if errors.Is(err, fs.ErrPermission) {
		what = "a port below 1024 needs a privilege: give the worker CAP_NET_BIND_SERVICE or the like, or set taskclusterProxyPort to 0 for any free port"
	}
	return nil, 0, fmt.Errorf("cannot listen on %s: %w; %s", portList(ports), err, what)
}

func portList(ports []int) string {
	if len(ports) == 1 {
		return "port " + strconv.Itoa(ports[0])
	}
	return fmt.Sprintf("any of the ports %d", ports)
}

// listenAt opens a port at both loopback addresses: which of the two a program
// takes "localhost" for is not ours to decide, and nobody else may sit there.
func listenAt(ctx context.Context, port int) ([]net.Listener, int, error) {
	var config net.ListenConfig
	four, err := config.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, 0, plain(err)
	}
	port = four.Addr().(*net.TCPAddr).Port
	six, err := config.Listen(ctx, "tcp6", net.JoinHostPort("::1", strconv.Itoa(port)))
	switch {
	case err == nil:
		return []net.Listener{four, six}, port, nil
	case errors.Is(err, syscall.EADDRINUSE), errors.Is(err, fs.ErrPermission):
		return nil, 0, errors.Join(plain(err), four.Close())
	}
	return []net.Listener{four}, port, nil // a machine without IPv6
}

// plain leaves the operation out of an error, which the caller names.
func plain(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}
