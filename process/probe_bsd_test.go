//go:build darwin || freebsd

package process

type variant struct {
	name string
	limits
}

func variants() []variant { return []variant{{"group", limits{patience: patience}}} }

func gettid() int { return -1 }

func exitThread() {}

func probeLinux([]string) int { return 99 }
