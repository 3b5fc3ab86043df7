package site

import (
	"errors"
	"log/slog"

	"github.com/taskcluster/generic-worker/process"
	"github.com/taskcluster/generic-worker/process/harden"
	"github.com/taskcluster/generic-worker/process/usage"
)

// errNoCPUs says that a limit is wanted which nothing here can keep.
var errNoCPUs = errors.New("cannot enforce taskLimits.cpus: no control group with the controller cpu is there for this worker to make others in; " +
	"start it as root, or as a service with Delegate=yes, or remove taskLimits.cpus from the configuration")

// checkLimits says how the limits of commands are kept, and refuses one that
// cannot be.
func checkLimits(l usage.Limits, log *slog.Logger) error {
	if l == (usage.Limits{}) {
		return nil
	}
	return tellLimits(l, process.Enforce(l), log)
}

func tellLimits(l usage.Limits, how usage.Enforcement, log *slog.Logger) error {
	var told []any
	if l.Memory > 0 {
		told = append(told, "memory", usage.Bytes(l.Memory), "memoryBy", how.Memory)
	}
	if l.Processes > 0 {
		told = append(told, "processes", l.Processes, "processesBy", how.Processes)
	}
	if l.CPUs > 0 {
		told = append(told, "cpus", l.CPUs, "cpusBy", how.CPUs)
	}
	if l.CPUs > 0 && how.CPUs == "" {
		return errNoCPUs
	}
	log.Info("commands are limited", told...)
	return nil
}

// spareWorker keeps the worker alive when memory runs out, if it may.
func spareWorker(log *slog.Logger) {
	if err := harden.Spare(); err != nil {
		log.Info("the worker may be killed when memory runs out", "error", err)
	}
}
