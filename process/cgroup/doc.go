// Package cgroup keeps the processes of one command together in a Linux
// control group of its own, of version 2 or 1; see cgroups(7).
package cgroup
