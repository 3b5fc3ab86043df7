package process

import "github.com/taskcluster/generic-worker/process/cgroup"

func inGroupOf(marker string, pid int) bool { return cgroup.Holds(family(marker), pid) }
