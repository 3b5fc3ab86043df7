package config

import "fmt"

// The proxies of tasks that run at the same time have ports that are so far
// apart, none of them above the last one.
const (
	proxyPortStep = 4
	lastPort      = 65535
)

// checkPorts sees to it that no two listeners want the same port, for which
// the one that comes later could wait without end.
func (s *sources) checkPorts(set settings) {
	type listener struct {
		name        string
		enabled     bool
		port, slots int
	}
	taken := map[int]string{}
	for _, l := range []listener{
		{"livelogExposePort", set.EnableLiveLog, set.LivelogExposePort, 1},
		{"interactivePort", set.EnableInteractive, set.InteractivePort, 1},
		{"taskclusterProxyPort", set.EnableProxy, set.ProxyPort, set.Capacity},
	} {
		if !l.enabled || l.port == 0 {
			continue
		}
		if most := (lastPort-l.port)/proxyPortStep + 1; l.slots > most {
			s.complain("/"+l.name, fmt.Sprintf("leaves ports for %d tasks at a time, and capacity is %d: they have this one and each fourth above it", most, l.slots),
				fmt.Sprintf("write at most %d, or 0 for any free ports", lastPort-proxyPortStep*(l.slots-1)))
			continue
		}
		for i := range l.slots {
			port := l.port + i*proxyPortStep
			if other, both := taken[port]; both {
				s.complain("/"+l.name, fmt.Sprintf("would have port %d, which %s has", port, other), "give each its own, or 0 for any free one")
				break
			}
			taken[port] = l.name
		}
	}
}
