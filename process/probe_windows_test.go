package process

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/windows"
)

var errStop = errors.New("stopped by the test")

type variant struct {
	name string
	limits
}

func variants() []variant { return []variant{{"job", limits{patience: patience}}} }

func probeOS(args []string) int {
	switch args[0] {
	case "fork": // ADDRESS HIDEOUT
		hide(args[0], args[1], args[2])
	case "parent": // ADDRESS HIDEOUT exit|stay
		hide(args[0], args[1], args[2])
		report(args[1], args[0])
		if args[3] == "stay" {
			time.Sleep(time.Hour)
		}
	case "hide": // ADDRESS
		report(args[1], args[0])
		time.Sleep(time.Hour)
	default:
		return 99
	}
	return 0
}

// report tells the test who this is and waits for its leave. The connection
// lasts as long as the process.
func report(address, name string) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		os.Exit(9)
	}
	_, _ = conn.Write([]byte(name))
	_, _ = conn.Read(make([]byte, 1))
}

// hide starts the next process towards a hideout.
func hide(from, address, hideout string) {
	attr := &syscall.SysProcAttr{}
	var stdout *os.File
	switch hideout {
	case "detached", "daemon":
		attr.CreationFlags = windows.DETACHED_PROCESS | windows.CREATE_NEW_PROCESS_GROUP
	case "holds stdout":
		stdout = os.Stdout
	}
	if hideout == "daemon" && from == "parent" {
		spawn(attr, nil, nil, os.Environ(), "fork", address, hideout)
		return
	}
	spawn(attr, stdout, nil, os.Environ(), "hide", address)
}
